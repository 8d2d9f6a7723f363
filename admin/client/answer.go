package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/admin/api"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/feed"
	"github.com/mcpkeys/mcpkeys/keys/usage"
	"github.com/mcpkeys/mcpkeys/store"
)

// remoteError is an error of the domain with the server's text.
type remoteError struct {
	text string
	is   error
}

func (e *remoteError) Error() string { return e.text }
func (e *remoteError) Unwrap() error { return e.is }

// domain maps codes back to the errors of package keys.
var domain = map[string]error{
	api.CodeNotFound:           keys.ErrNotFound,
	api.CodeConflict:           keys.ErrConflict,
	api.CodeSecretDelivered:    keys.ErrConflict,
	api.CodePreconditionFailed: keys.ErrVersion,
	api.CodeTampered:           keys.ErrTampered,
	api.CodeUnavailable:        keys.ErrUnavailable,
	"rate_limited":             keys.ErrUnavailable,
	api.CodeForbidden:          keys.ErrDenied,
	"insufficient_scope":       keys.ErrDenied,
}

// refused turns an error answer into the error that a local manager would return.
func (c *Client) refused(resp *http.Response, text []byte) error {
	if resp.StatusCode/100 == 3 {
		return fmt.Errorf("%w: %s: %w; use the address that it redirects to", keys.ErrUnavailable, c.name, errRedirect)
	}
	var p api.Problem
	if err := json.Unmarshal(text, &p); err != nil || p.Code == "" {
		return c.unknownServer(resp.StatusCode)
	}
	if p.Code == api.CodeNoRoute { // another server, or a wrong path: not the same as "no such key"
		return c.unknownServer(resp.StatusCode)
	}
	switch {
	case p.Code == api.CodeNotAnnounced:
		return store.NotAnnounced(fmt.Errorf("%s could not tell them (request %s)", c.name, p.RequestID))
	case p.Code == api.CodeMayBeLost:
		return &store.MayBeLostError{Cause: fmt.Errorf("the files of the key store were replaced or removed while %s made it, and that server must be started again (request %s)", c.name, p.RequestID)}
	case p.Code == api.CodeAltered:
		return &feed.AlteredError{What: "the request was not carried out", Fix: "run 'keyctl doctor' on the machine of " + c.name}
	case p.Code == api.CodeInvalidArgument && len(p.Errors) > 0:
		return &keys.InvalidError{Field: field(p.Errors[0].Field), Reason: p.Errors[0].Message}
	case p.Code == api.CodeTooLarge:
		return &keys.InvalidError{Field: "request", Reason: "is larger than the server allows"}
	case p.Code == api.CodeConflict && len(p.Errors) > 0 && p.Errors[0].Field == "name":
		return keys.ErrNameTaken
	case p.Code == api.CodeConflict && p.Rotation != nil:
		return &admin.RotationError{Old: p.Rotation.Finish, Until: instant(p.Rotation.Until), Newest: p.Rotation.Replace}
	case resp.StatusCode == http.StatusUnauthorized:
		return fmt.Errorf("%w: %s does not accept it; it may be revoked or expired, or belong to another key store", keys.ErrDenied, c.name)
	case p.Code == api.CodeNotFound, p.Code == api.CodeTampered, p.Code == api.CodePreconditionFailed:
		return domain[p.Code]
	case p.Code == api.CodeConflict, p.Code == api.CodeSecretDelivered, p.Code == api.CodeForbidden:
		return &remoteError{clause(p.Detail), domain[p.Code]}
	case domain[p.Code] != nil:
		return &remoteError{p.Detail, domain[p.Code]}
	}
	return fmt.Errorf("%s answered %d %s (request %s): %s", c.name, resp.StatusCode, p.Code, p.RequestID, p.Detail)
}

// clause returns the text of an error from the sentence that the server made of it. It
// does not change a text of several sentences.
func clause(detail string) string {
	text, one := strings.CutSuffix(detail, ".")
	if !one || text == "" || strings.Contains(text, ". ") {
		return detail
	}
	first, size := utf8.DecodeRuneInString(text)
	return string(unicode.ToLower(first)) + text[size:]
}

// field returns the domain's name of a member of the request.
func field(member string) string {
	if member == "expires_in" || member == "expires_at" {
		return "expires"
	}
	return member
}

// tamperedKey is the key that Key returns with a [keys.ErrTampered] of the server.
func tamperedKey(id string, err error) *keys.Key {
	if errors.Is(err, keys.ErrTampered) {
		return &keys.Key{ID: id}
	}
	return nil
}

// key converts a key from the server's answer. Digests and seal are not in it.
func key(in *api.Key) (*keys.Key, error) {
	out := &keys.Key{
		ID: in.ID, Name: in.Name, Owner: in.Owner, Kind: keys.Kind(in.Kind),
		Scopes: in.Scopes, Audience: in.Audience, Metadata: in.Metadata,
		CreatedAt: in.CreatedAt, CreatedBy: in.CreatedBy, ExpiresAt: instant(in.ExpiresAt),
		DisabledAt: instant(in.DisabledAt), RevokedAt: instant(in.RevokedAt), RevokedReason: in.RevokedReason,
		Version: in.Version,
	}
	for _, text := range in.AllowedIPs {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, errors.New("the server sent a key with invalid addresses; check that it has the same version")
		}
		out.AllowedIPs = append(out.AllowedIPs, p)
	}
	if in.RateLimit != "" {
		limit, err := keys.ParseRateLimit(in.RateLimit)
		if err != nil {
			return nil, errors.New("the server sent a key with an invalid rate limit; check that it has the same version")
		}
		out.RateLimit = limit
	}
	life, err := keys.ParseKeyLife(in.MaxKeyLife)
	if err != nil {
		return nil, errors.New("the server sent a key with an invalid max_key_life; check that it has the same version")
	}
	out.MaxKeyLife = life
	for _, s := range in.Secrets {
		out.Secrets = append(out.Secrets, secret(&s))
	}
	return out, nil
}

// usageOf converts the use from the server's answer. An invalid address becomes unknown.
func usageOf(in *api.Usage) usage.Usage {
	out := usage.Usage{Since: in.Began}
	for _, l := range in.LastUsed {
		ip, _ := netip.ParseAddr(l.ClientIP)
		out.Last = append(out.Last, keys.LastUse{Secret: l.Secret, At: l.At, ClientIP: ip.WithZone(""), Agent: usage.AgentOf(l.Agent)})
	}
	for _, c := range in.Counts {
		out.Counts = append(out.Counts, usage.Count{Hour: c.Hour, Day: c.Day, Code: keys.Code(c.Code), Scope: c.Scope, Calls: c.Calls})
	}
	return out
}

func instant(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}

// secret of an imported token has a Lookup, which is empty here: servers do not tell it.
func secret(in *api.KeySecret) keys.KeySecret {
	out := keys.KeySecret{Number: in.Number, CreatedAt: in.CreatedAt, ExpiresAt: instant(in.ExpiresAt)}
	if in.Imported != "" {
		out.Scheme, out.Lookup = keys.Scheme(in.Imported), []byte{}
	}
	return out
}

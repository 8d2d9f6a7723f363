package connect

import (
	"cmp"
	"context"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/mcpkeys/mcpkeys/admin/api"
	"github.com/mcpkeys/mcpkeys/admin/client"
	"github.com/mcpkeys/mcpkeys/internal/base/infile"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/verifier"
)

// maxKeyFile is more than a file with one key has, in bytes.
const maxKeyFile = 1024

func (s Settings) client(ctx context.Context) (*client.Client, error) {
	key, err := s.adminKey(ctx)
	if err != nil {
		return nil, err
	}
	return client.New(s.Server, key, &client.Options{InsecureHTTP: s.InsecureHTTP})
}

// adminKey prefers the file: a variable is seen by every program that is started
// from there.
func (s Settings) adminKey(ctx context.Context) (keys.Secret, error) {
	if s.AdminKeyFile == "" {
		return s.AdminKey, whole("KEYCTL_ADMIN_KEY", s.AdminKey.Reveal())
	}
	bad := &keys.InvalidError{Field: "KEYCTL_ADMIN_KEY_FILE", Reason: "must name a file that this user may read, with the admin key and nothing else"}
	f, err := infile.Open(ctx, s.AdminKeyFile)
	if err != nil {
		return keys.Secret{}, bad
	}
	defer func() { _ = f.Close() }() // it was only read
	text, err := io.ReadAll(io.LimitReader(f, maxKeyFile))
	switch {
	case ctx.Err() != nil:
		return keys.Secret{}, ctx.Err()
	case err != nil:
		return keys.Secret{}, bad
	}
	line, ended := strings.CutSuffix(string(text), "\n")
	if ended {
		line = strings.TrimSuffix(line, "\r")
	}
	return keys.NewSecret(line), whole("KEYCTL_ADMIN_KEY_FILE", line)
}

// whole names the setting that holds what nearly is an admin key, and what is wrong with
// it.
func whole(setting, text string) error {
	if flaw := keys.Flaw(text); flaw != "" {
		return &keys.InvalidError{Field: setting, Reason: "holds no admin key: the text " + flaw}
	}
	return nil
}

// remoteCheck has keys checked by the server, imported ones too. What can be no token is
// not sent: it may be a secret of another kind.
func remoteCheck(c *client.Client) func(context.Context, string, verifier.Call, []string) keys.Decision {
	return func(ctx context.Context, token string, call verifier.Call, required []string) keys.Decision {
		if code := keys.Unfit(token); code != "" {
			return keys.Decision{Code: code}
		}
		t, _ := keys.ParseToken(token) // the zero Token for one that another system made
		req := api.VerifyRequest{Key: token, Audience: call.Audience, Scopes: required}
		if call.ClientIP.IsValid() {
			req.ClientIP = call.ClientIP.String()
		}
		answer, err := c.Verify(ctx, req)
		if err != nil {
			return keys.Decision{Code: keys.CodeUnavailable, KeyID: t.ID(), Cause: err}
		}
		return decision(answer, req, cmp.Or(t.Kind(), keys.KindKey))
	}
}

// decision reads the server's answer as the verifier would have given it, but for the
// burst of a limit, which is not told.
func decision(answer api.Verification, req api.VerifyRequest, kind keys.Kind) keys.Decision {
	d := keys.Decision{
		Code: keys.Code(answer.Code), KeyID: answer.KeyID, RetryAfter: time.Duration(answer.RetryAfter) * time.Second,
	}
	if r := answer.RateLimit; r != nil {
		d.Limit = keys.RateLimit{Count: r.Limit, Window: time.Duration(r.Window) * time.Second}
		d.Remaining, d.Reset = r.Remaining, time.Duration(r.Reset)*time.Second
	}
	if d.Code == keys.CodeUnavailable {
		d.Cause = keys.ErrUnavailable
		if answer.Tampered {
			d.Cause = keys.ErrTampered
		}
	}
	if s := answer.Secret; s != nil {
		d.Secret, d.Newer = s.Number, s.Superseded && answer.Valid
		if s.EndsAt != nil {
			d.Ends = *s.EndsAt
		}
	}
	switch d.Code {
	case keys.CodeInsufficientScope:
		d.Lacks = &keys.Lack{Required: req.Scopes, Missing: answer.Missing}
	case keys.CodeWrongAudience:
		d.Lacks = &keys.Lack{Audience: req.Audience, Offered: answer.Offered}
	}
	if !answer.Valid {
		return d
	}
	k := &keys.Key{ID: answer.KeyID, Kind: kind, Name: answer.Name, Owner: answer.Owner, Scopes: answer.Scopes}
	if answer.ExpiresAt != nil {
		k.ExpiresAt = *answer.ExpiresAt
	}
	var err error
	if d.Identity, err = keys.NewIdentity(k); err != nil {
		return keys.Decision{
			Code: keys.CodeUnavailable, KeyID: answer.KeyID,
			Cause: errors.New("the server showed scopes that cannot be read: is it of another version?"),
		}
	}
	return d
}

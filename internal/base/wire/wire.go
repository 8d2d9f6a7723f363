// Package wire converts values of the domain to the types of admin/api: the HTTP API answers
// with them, and keyctl prints them with -o json, so both have the same form.
//
// Begin at [Key]; [Event], [Denial], [LastUse], [Count] and [Verification] are similar.
//
// The package makes no decisions and shows no secret: a caller that hands one out adds it.
package wire

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"math"
	"net/netip"
	"time"

	"github.com/mcpkeys/mcpkeys/admin/api"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/audit"
	"github.com/mcpkeys/mcpkeys/keys/usage"
)

// Key converts k, with its status at now.
func Key(k *keys.Key, now time.Time) api.Key {
	out := api.Key{
		ID: k.ID, Name: k.Name, Owner: k.Owner, Kind: string(k.Kind),
		Scopes: List(k.Scopes), Audience: List(k.Audience), AllowedIPs: []string{},
		RateLimit: k.RateLimit.String(), Metadata: k.Metadata, Status: string(k.Status(now)),
		CreatedAt: k.CreatedAt, CreatedBy: k.CreatedBy, ExpiresAt: Moment(k.ExpiresAt),
		DisabledAt: Moment(k.DisabledAt), RevokedAt: Moment(k.RevokedAt), RevokedReason: k.RevokedReason,
		MaxKeyLife: keys.FormatKeyLife(k.MaxKeyLife), Version: k.Version, Secrets: []api.KeySecret{},
	}
	if out.Metadata == nil {
		out.Metadata = map[string]string{}
	}
	for _, p := range k.AllowedIPs {
		out.AllowedIPs = append(out.AllowedIPs, p.String())
	}
	for _, secret := range k.Secrets {
		out.Secrets = append(out.Secrets, api.KeySecret{
			Number: secret.Number, CreatedAt: secret.CreatedAt, ExpiresAt: Moment(secret.ExpiresAt), Imported: string(secret.ImportedUnder()),
		})
	}
	return out
}

// Event converts a row of the audit log. A detail that is not valid JSON becomes null.
func Event(e *audit.Event) api.AuditEvent {
	out := api.AuditEvent{
		Seq: e.Seq, ID: e.ID.String(), At: e.At, Actor: e.Actor, Action: string(e.Action),
		KeyID: e.KeyID, RequestID: e.RequestID, Detail: json.RawMessage("null"),
		Prev: hex.EncodeToString(e.Prev), Hash: hex.EncodeToString(e.Hash),
	}
	if json.Valid([]byte(e.Detail)) {
		out.Detail = json.RawMessage(e.Detail)
	}
	return out
}

// Denial converts the denials of one minute.
func Denial(d usage.Denial) api.Denial {
	out := api.Denial{
		Minute: d.Minute, Code: string(d.Code), KeyID: d.KeyID, Proved: d.Proved,
		Audience: d.Audience, Scope: d.Scope, Offered: d.Offered, Agent: d.Agent, Calls: d.Calls,
	}
	if d.Source.IsValid() {
		out.Source = d.Source.String()
	}
	return out
}

// Usage converts the use of the key with this id since a time. Times have microseconds.
func Usage(id string, since time.Time, u usage.Usage) api.Usage {
	out := api.Usage{ID: id, Since: since.UTC().Truncate(time.Microsecond), Began: u.Since, LastUsed: []api.LastUse{}, Counts: []api.UseCount{}}
	for _, l := range u.Last {
		out.LastUsed = append(out.LastUsed, LastUse(l))
	}
	for _, c := range u.Counts {
		out.Counts = append(out.Counts, Count(c))
	}
	return out
}

// LastUse converts the last use of a secret.
func LastUse(l keys.LastUse) api.LastUse {
	return api.LastUse{Secret: l.Secret, At: l.At, ClientIP: address(l.ClientIP), Agent: l.Agent}
}

// Count converts the uses of a key in one hour, or one day, with one outcome.
func Count(c usage.Count) api.UseCount {
	return api.UseCount{Hour: c.Hour, Day: c.Day, Code: string(c.Code), Scope: c.Scope, Calls: c.Calls}
}

// Verification converts a decision, without a lease, which only a server gives.
func Verification(d keys.Decision) api.Verification {
	out := api.Verification{
		Valid: d.Valid(), Code: string(d.Code), KeyID: d.KeyID, Secret: secretUsed(d),
		RateLimit: rateState(d), RetryAfter: seconds(d.RetryAfter), Tampered: errors.Is(d.Cause, keys.ErrTampered),
	}
	if d.Lacks != nil {
		out.Missing, out.Offered = d.Lacks.Missing, d.Lacks.Offered
	}
	if d.Valid() {
		out.Key = verifiedKey(d.Identity)
	}
	return out
}

func verifiedKey(i *keys.Identity) *api.VerifiedKey {
	return &api.VerifiedKey{
		ID: i.KeyID(), Name: i.Name(), Owner: i.Owner(), Scopes: List(i.Scopes()),
		ExpiresAt: Moment(i.ExpiresAt()), Metadata: i.Metadata(),
	}
}

func secretUsed(d keys.Decision) *api.SecretUsed {
	if !d.Valid() && d.Code != keys.CodeSuperseded {
		return nil
	}
	return &api.SecretUsed{Number: d.Secret, EndsAt: Moment(d.Ends), Superseded: d.Newer || !d.Valid()}
}

func rateState(d keys.Decision) *api.RateState {
	if d.Limit.IsZero() {
		return nil
	}
	return &api.RateState{
		Limit: d.Limit.Count, Window: seconds(d.Limit.Window), Remaining: d.Remaining, Reset: seconds(d.Reset),
	}
}

// seconds rounds up: a client must not come back too early.
func seconds(wait time.Duration) int { return int(math.Ceil(wait.Seconds())) }

// List turns nil into an empty list.
func List(texts []string) []string { return append([]string{}, texts...) }

// Moment turns a zero time into null.
func Moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// address is empty for an unknown address.
func address(ip netip.Addr) string {
	if !ip.IsValid() {
		return ""
	}
	return ip.String()
}

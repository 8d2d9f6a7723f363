package main

import (
	"net/netip"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
)

// keyJSON is a key as scripts read it. Times are RFC 3339 in UTC, lists are never
// null, and expires_at is null for a key that never expires.
type keyJSON struct {
	ID        string      `json:"id"`
	Name      string      `json:"name"`
	Owner     string      `json:"owner"`
	Kind      keys.Kind   `json:"kind"`
	Scopes    []string    `json:"scopes"`
	Audience  []string    `json:"audience"`
	CreatedAt time.Time   `json:"created_at"`
	ExpiresAt *time.Time  `json:"expires_at"`
	Status    keys.Status `json:"status"`
}

// listedJSON is a key in a list, where one that must not be believed is marked.
type listedJSON struct {
	keyJSON
	LastUsedAt lastUsed `json:"last_used_at,omitzero"` // null for never; left out when it is not known
	Tampered   bool     `json:"tampered,omitempty"`
}

// issuedJSON is an object with a secret in it.
type issuedJSON struct {
	keyJSON
	Warnings []string `json:"warnings"`
	Secret   string   `json:"secret,omitempty"`
}

// rotatedJSON is the other one: the key's new secret, and until when the old one is
// good.
type rotatedJSON struct {
	keyJSON
	Secrets  []secretJSON `json:"secrets"`
	Warnings []string     `json:"warnings"`
	Secret   string       `json:"secret,omitempty"`
}

// editedJSON is a key as an edit left it.
type editedJSON struct {
	shownJSON
	Warnings []string `json:"warnings"`
}

// shownJSON is all that is known of a key.
type shownJSON struct {
	keyJSON
	AllowedIPs    []string          `json:"allowed_ips"`
	RateLimit     *string           `json:"rate_limit"`
	Metadata      map[string]string `json:"metadata"`
	MaxKeyLife    string            `json:"max_key_life,omitempty"`
	CreatedBy     string            `json:"created_by"`
	DisabledAt    *time.Time        `json:"disabled_at"`
	RevokedAt     *time.Time        `json:"revoked_at"`
	RevokedReason string            `json:"revoked_reason"`
	Version       int64             `json:"version"`
	Secrets       []secretJSON      `json:"secrets"`
	LastUsedAt    lastUsed          `json:"last_used_at,omitzero"`
	LastUse       *lastUseJSON      `json:"last_use,omitempty"`
}

// secretJSON tells of a secret all but anything that proves it.
type secretJSON struct {
	Number    int64      `json:"number"`
	CreatedAt time.Time  `json:"created_at"`
	ExpiresAt *time.Time `json:"expires_at"`
	Imported  string     `json:"imported,omitempty"`

	LastUsedAt lastUsed `json:"last_used_at,omitzero"`
}

func newKeyJSON(k *keys.Key, now time.Time) keyJSON {
	return keyJSON{
		ID: k.ID, Name: k.Name, Owner: k.Owner, Kind: k.Kind,
		Scopes: list(k.Scopes), Audience: list(k.Audience),
		CreatedAt: k.CreatedAt, ExpiresAt: moment(k.ExpiresAt), Status: k.Status(now),
	}
}

// newShownJSON leaves out what is not known of the key's use when u is nil.
func newShownJSON(k *keys.Key, u *keys.Usage, now time.Time) shownJSON {
	out := shownJSON{
		keyJSON: newKeyJSON(k, now), AllowedIPs: list(prefixes(k.AllowedIPs)), Metadata: k.Metadata,
		MaxKeyLife: keys.FormatKeyLife(k.MaxKeyLife), CreatedBy: k.CreatedBy, DisabledAt: moment(k.DisabledAt),
		RevokedAt: moment(k.RevokedAt), RevokedReason: k.RevokedReason, Version: k.Version,
	}
	if out.Metadata == nil {
		out.Metadata = map[string]string{}
	}
	if !k.RateLimit.IsZero() {
		rate := k.RateLimit.String()
		out.RateLimit = &rate
	}
	out.Secrets = secretsJSON(k)
	if u == nil {
		return out
	}
	l := u.LastUsed()
	if out.LastUsedAt = (lastUsed{l.At, true}); !l.At.IsZero() {
		use := newLastUseJSON(l)
		out.LastUse = &use
	}
	for i := range out.Secrets {
		out.Secrets[i].LastUsedAt = lastUsed{useOf(u, out.Secrets[i].Number).At, true}
	}
	return out
}

func secretsJSON(k *keys.Key) []secretJSON {
	var out []secretJSON
	for _, s := range k.Secrets {
		out = append(out, secretJSON{Number: s.Number, CreatedAt: s.CreatedAt, ExpiresAt: moment(s.ExpiresAt), Imported: string(s.ImportedUnder())})
	}
	return out
}

// useOf is the last use of one secret; the zero LastUse if there was none.
func useOf(u *keys.Usage, number int64) keys.LastUse {
	for _, l := range u.Last {
		if l.Secret == number {
			return l
		}
	}
	return keys.LastUse{}
}

// list makes an empty list of none.
func list(texts []string) []string { return append([]string{}, texts...) }

// moment makes null of a time that is not set.
func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func prefixes(list []netip.Prefix) []string {
	var out []string
	for _, p := range list {
		if p.IsSingleIP() {
			out = append(out, p.Addr().String())
			continue
		}
		out = append(out, p.String())
	}
	return out
}

package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/mcpkeys/mcpkeys/internal/connect"
	"github.com/mcpkeys/mcpkeys/internal/wording"
	"github.com/mcpkeys/mcpkeys/keys"
)

// keyReference is what KEY means, in every help page that has one.
const keyReference = `KEY is an id, or a name (owner/name where two owners share it), or the beginning
of an id, 6 characters or more. A name means the unrevoked key that has it;
where there is none, the revoked key that had it last.`

func newShow(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "show KEY",
		Short:   "Show all about one key but its secret",
		GroupID: groupKeys,
		Long:    "Show all about one key but its secret, which nobody has any more.\n\n" + keyReference,
		Example: "  keyctl show ci\n  keyctl show ci -o json",
		Args:    oneArg("a KEY: a name or an id"),

		ValidArgsFunction: a.completeKeys,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withAdmin(cmd.Context(), func(m *connect.Admin) error {
				return a.show(cmd.Context(), m, args[0])
			})
		},
	}
	formats(cmd, formatTable, formatJSON)
	return cmd
}

func (a *app) show(ctx context.Context, m keys.Manager, ref string) error {
	k, err := a.resolve(ctx, m, ref)
	if err != nil {
		return err
	}
	var used *keys.Usage
	if u, err := m.Usage(ctx, k.ID, a.now()); err == nil { // else it is not known, and the key is there all the same
		used = &u
	}
	if a.output == formatJSON {
		return a.printJSON(newShownJSON(k, used, a.now()))
	}
	return a.print(aligned(a.allAbout(k, used), a.width(a.stdout)))
}

// resolve finds a key, and says of one that cannot be trusted which it is and what
// to do about it.
func (a *app) resolve(ctx context.Context, m keys.Manager, ref string) (*keys.Key, error) {
	k, err := keys.Resolve(ctx, m, ref)
	if errors.Is(err, keys.ErrTampered) {
		return k, a.tampered(k, err)
	}
	if errors.Is(err, keys.ErrNotFound) {
		return nil, fmt.Errorf("%w: no key has that id or name; `%s` shows all there are", keys.ErrNotFound, a.command("list", "--all"))
	}
	return k, err
}

func (a *app) tampered(k *keys.Key, err error) error {
	if k == nil {
		return err
	}
	return fmt.Errorf("key %s: %w; revoke it with `%s`, or restore the database from a backup", wording.Clean(k.ID), err, a.command("revoke", k.ID))
}

func (a *app) allAbout(k *keys.Key, used *keys.Usage) []row {
	rows := []row{
		{"name", k.Name},
		{"id", k.ID},
		{"owner", orDash(k.Owner)},
		{"kind", string(k.Kind)},
		{"status", wording.Status(k.Status(a.now()))},
		{"scopes", words(k.Scopes, "none")},
		{"audience", words(k.Audience, everyServer(k))},
		{"from", words(prefixes(k.AllowedIPs), "anywhere")},
		{"rate", k.RateLimit.String()},
		{"expires", a.deadline(k.ExpiresAt)},
		{"created", a.when(k.CreatedAt) + " by " + k.CreatedBy},
		{"used", a.lastUsed(used)},
	}
	if k.RateLimit.IsZero() {
		rows[8].text = "unlimited"
	}
	if k.Kind == keys.KindAdmin {
		rows = append(rows, row{"key life", keyLife(k)})
	}
	if !k.DisabledAt.IsZero() {
		rows = append(rows, row{"disabled", a.when(k.DisabledAt)})
	}
	if !k.RevokedAt.IsZero() {
		rows = append(rows, row{"revoked", a.when(k.RevokedAt)}, row{"reason", orDash(k.RevokedReason)})
	}
	for _, name := range slices.Sorted(maps.Keys(k.Metadata)) {
		rows = append(rows, row{"meta", name + "=" + k.Metadata[name]})
	}
	for _, s := range k.Secrets {
		text := a.aboutSecret(&s)
		if used != nil && len(k.Secrets) > 1 {
			text += "; " + a.secretUsed(useOf(used, s.Number))
		}
		rows = append(rows, row{"secret " + strconv.FormatInt(s.Number, 10), text})
	}
	return append(rows, row{"version", strconv.FormatInt(k.Version, 10)})
}

// keyLife says how long the keys may live that an admin key issues.
func keyLife(k *keys.Key) string {
	if k.MaxKeyLife == keys.LifeForEver {
		return "no bound on the keys that it issues"
	}
	return "keys that it issues end within " + keys.FormatKeyLife(k.MaxKeyLife)
}

// aboutSecret tells of a secret when it was made, and its end if it has one before the
// key's.
func (a *app) aboutSecret(s *keys.KeySecret) string {
	text := "made " + a.when(s.CreatedAt)
	if imported := wording.Imported(s); imported != "" {
		text += ", " + imported
	}
	switch {
	case s.ExpiresAt.IsZero():
		return text
	case !s.Expired(a.now()):
		return text + ", good until " + a.when(s.ExpiresAt)
	}
	return text + ", ended " + a.when(s.ExpiresAt)
}

// lastUsed is for a page of one key; nil is what is not known.
func (a *app) lastUsed(u *keys.Usage) string {
	if u == nil {
		return "not known: what was counted cannot be read"
	}
	if l := u.LastUsed(); !l.At.IsZero() {
		return a.lastUse(l)
	}
	return "never"
}

// secretUsed is for one of two secrets: whether the old one may be ended.
func (a *app) secretUsed(l keys.LastUse) string {
	if l.At.IsZero() {
		return "never used"
	}
	return "used " + a.useOfOne(l)
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

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

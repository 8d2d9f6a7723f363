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

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/admin/api"
	"github.com/mcpkeys/mcpkeys/internal/app/connect"
	"github.com/mcpkeys/mcpkeys/internal/app/wording"
	"github.com/mcpkeys/mcpkeys/internal/base/wire"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/usage"
)

// keyReference explains KEY in the help of every command that takes one.
const keyReference = `KEY is a name, an id, or the first 6 or more characters of an id. If two owners
have a key of that name, use owner/name. If every key with that name is revoked,
the name means the newest of them.`

func newShow(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "show KEY",
		Short:   "Show everything about a key except its secret",
		GroupID: groupKeys,
		Long:    "Show everything about a key except its secret, which is not stored.\n\n" + keyReference,
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

func (a *app) show(ctx context.Context, m admin.Manager, ref string) error {
	k, err := a.resolve(ctx, m, ref)
	if err != nil {
		return err
	}
	var used *usage.Usage
	if u, err := m.Usage(ctx, k.ID, a.now()); err == nil { // without it, the key is shown all the same
		used = &u
	}
	if a.output == formatJSON {
		return a.printJSON(newShownJSON(k, used, a.now()))
	}
	return a.print(aligned(a.allAbout(k, used), a.width(a.stdout)))
}

// resolve finds a key. For one that was changed outside mcpkeys the error names it and says
// what to do.
func (a *app) resolve(ctx context.Context, m admin.Manager, ref string) (*keys.Key, error) {
	k, err := admin.Resolve(ctx, m, ref)
	if errors.Is(err, keys.ErrTampered) {
		return k, a.tampered(k, err)
	}
	if errors.Is(err, keys.ErrNotFound) {
		name := "that id or name"
		if plainWord(ref) {
			name = `the id or name "` + ref + `"`
		}
		return nil, &noKeyError{fmt.Sprintf("no key has %s; `%s` shows all keys", name, a.command("list", "--all"))}
	}
	return k, err
}

// noKeyError is a [keys.ErrNotFound].
type noKeyError struct{ text string }

func (e *noKeyError) Error() string { return e.text }

func (e *noKeyError) Is(target error) bool { return target == keys.ErrNotFound }

func (a *app) tampered(k *keys.Key, err error) error {
	if k == nil {
		return err
	}
	return fmt.Errorf("key %s: %w; revoke it with `%s`, or restore the database from a backup", wording.Clean(k.ID), err, a.command("revoke", k.ID))
}

func (a *app) allAbout(k *keys.Key, used *usage.Usage) []row {
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

// keyLife says how long the keys that an admin key issues may be valid.
func keyLife(k *keys.Key) string {
	if k.MaxKeyLife == keys.LifeForEver {
		return "no limit for the keys that it issues"
	}
	return "keys that it issues expire within " + keys.FormatKeyLife(k.MaxKeyLife)
}

// aboutSecret says when a secret was made, and when it ends if that is before the key's end.
func (a *app) aboutSecret(s *keys.KeySecret) string {
	text := "made " + a.when(s.CreatedAt)
	if imported := wording.Imported(s); imported != "" {
		text += ", " + imported
	}
	switch {
	case s.ExpiresAt.IsZero():
		return text
	case !s.Expired(a.now()):
		return text + ", valid until " + a.when(s.ExpiresAt)
	}
	return text + ", ended " + a.when(s.ExpiresAt)
}

// lastUsed renders the last use for the page of a key; nil means not known.
func (a *app) lastUsed(u *usage.Usage) string {
	if u == nil {
		return "not known: the usage file cannot be read"
	}
	if l := u.LastUsed(); !l.At.IsZero() {
		return a.lastUse(l)
	}
	return "never"
}

// secretUsed renders the last use of one of two secrets, so that the user can decide whether
// to end the old one.
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

// shownJSON is a key with its last uses. They are left out if they are not known; null means
// never.
type shownJSON struct {
	api.Key
	Secrets    []secretJSON `json:"secrets"`
	LastUsedAt lastUsed     `json:"last_used_at,omitzero"`
	LastUse    *api.LastUse `json:"last_use,omitempty"`
}

type secretJSON struct {
	api.KeySecret
	LastUsedAt lastUsed `json:"last_used_at,omitzero"`
}

// newShownJSON leaves out the last uses when u is nil.
func newShownJSON(k *keys.Key, u *usage.Usage, now time.Time) shownJSON {
	out := shownJSON{Key: wire.Key(k, now)}
	for _, s := range out.Key.Secrets {
		one := secretJSON{KeySecret: s}
		if u != nil {
			one.LastUsedAt = lastUsed{useOf(u, s.Number).At, true}
		}
		out.Secrets = append(out.Secrets, one)
	}
	if u == nil {
		return out
	}
	l := u.LastUsed()
	if out.LastUsedAt = (lastUsed{l.At, true}); !l.At.IsZero() {
		out.LastUse = new(wire.LastUse(l))
	}
	return out
}

// changedJSON is a key after a change, with its warnings.
func changedJSON(k *keys.Key, now time.Time) api.Key {
	out := wire.Key(k, now)
	out.Warnings = k.Warnings(now)
	return out
}

// useOf is the last use of one secret; the zero LastUse if there was none.
func useOf(u *usage.Usage, number int64) keys.LastUse {
	for _, l := range u.Last {
		if l.Secret == number {
			return l
		}
	}
	return keys.LastUse{}
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

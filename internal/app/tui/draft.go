package tui

import (
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/mcpscope"
)

// draft is a key in the form: texts, which package keys parses later.
type draft struct {
	name, owner            string
	ordinary               bool // not an admin key
	tools, prompts, scopes string
	audience               string
	expires, rate          string
}

func newDraft() draft {
	return draft{ordinary: true, expires: keys.FormatDuration(keys.DefaultLife)}
}

// presets are the expiries that space steps through.
func presets() []string { return []string{"7d", "30d", "90d", "365d", "never"} }

// nextPreset returns the preset after text, or the first.
func nextPreset(text string) string {
	all := presets()
	return all[(slices.Index(all, text)+1)%len(all)]
}

func (d *draft) kind() keys.Kind {
	if d.ordinary {
		return keys.KindKey
	}
	return keys.KindAdmin
}

// granted returns the scopes of the three scope fields together.
func (d *draft) granted() []string {
	scopes := patterns(d.tools, mcpscope.ToolPattern)
	scopes = append(scopes, patterns(d.prompts, mcpscope.PromptPattern)...)
	return append(scopes, typedList(d.scopes)...)
}

// typedList splits a list at spaces and commas.
func typedList(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' || unicode.IsSpace(r) })
}

func patterns(globs string, pattern func(string) string) []string {
	var scopes []string
	for _, glob := range typedList(globs) {
		scopes = append(scopes, pattern(glob))
	}
	return scopes
}

// request builds the request of the draft. Its error is a [*keys.InvalidError], as is that of
// each check below.
func (d *draft) request(now time.Time) (admin.IssueRequest, error) {
	req := admin.IssueRequest{
		Kind: d.kind(), Name: d.name, Owner: d.owner,
		Scopes: d.granted(), Audience: typedList(d.audience),
	}
	if err := d.check(); err != nil {
		return req, err
	}
	req.RateLimit, _ = d.limit() // checked above
	_, err := d.ends(now)
	if d.expires != newDraft().expires { // left as it was: the issuer's default applies
		req.Expires, _ = keys.ParseExpiry(d.expires) // checked above
	}
	return req, err
}

// check returns the error of the first invalid field, except the expiry.
func (d *draft) check() error {
	for _, check := range []func() error{d.checkName, d.checkOwner, d.checkScopes, d.checkAudience, d.checkRate} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

// check validates one field, in a key that is valid otherwise.
func check(change func(*keys.Key)) error {
	k := &keys.Key{Kind: keys.KindKey, Name: "a-name"}
	change(k)
	return k.Validate()
}

func (d *draft) checkName() error  { return check(func(k *keys.Key) { k.Name = d.name }) }
func (d *draft) checkOwner() error { return check(func(k *keys.Key) { k.Owner = d.owner }) }
func (d *draft) checkScopes() error {
	return check(func(k *keys.Key) { k.Kind, k.Scopes = d.kind(), d.granted() })
}

func (d *draft) checkAudience() error {
	return check(func(k *keys.Key) { k.Audience = typedList(d.audience) })
}

func (d *draft) checkRate() error {
	_, err := d.limit()
	return err
}

func (d *draft) limit() (keys.RateLimit, error) {
	if d.rate == "" {
		return keys.RateLimit{}, nil
	}
	return keys.ParseRateLimit(d.rate)
}

// ends returns when a key issued now would expire; zero for never.
func (d *draft) ends(now time.Time) (time.Time, error) {
	expiry, err := keys.ParseExpiry(d.expires)
	if err != nil {
		return time.Time{}, err
	}
	return expiry.At(now)
}

// warnings are what package keys warns about such a key.
func (d *draft) warnings(now time.Time) []string {
	ends, err := d.ends(now)
	if err != nil {
		return nil
	}
	k := keys.Key{Kind: d.kind(), Scopes: d.granted(), Audience: typedList(d.audience), ExpiresAt: ends}
	if k.Kind == keys.KindAdmin && len(k.Scopes) == 0 {
		k.Scopes = keys.AdminScopes()
	}
	return k.Warnings(now)
}

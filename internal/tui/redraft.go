package tui

import (
	"slices"
	"strings"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
)

// draftOf is a key that there is, as the form shows it.
func draftOf(k *keys.Key) draft {
	d := draft{
		name: k.Name, owner: k.Owner, ordinary: k.Kind == keys.KindKey,
		audience: strings.Join(k.Audience, " "), expires: "never",
	}
	var tools, prompts, others []string
	for _, scope := range k.Scopes {
		if glob, ok := globOf(scope, keys.ToolPattern); ok {
			tools = append(tools, glob)
		} else if glob, ok := globOf(scope, keys.PromptPattern); ok {
			prompts = append(prompts, glob)
		} else {
			others = append(others, scope)
		}
	}
	d.tools, d.prompts, d.scopes = strings.Join(tools, " "), strings.Join(prompts, " "), strings.Join(others, " ")
	if !k.ExpiresAt.IsZero() {
		d.expires = k.ExpiresAt.UTC().Format(time.RFC3339)
	}
	if !k.RateLimit.IsZero() {
		d.rate = k.RateLimit.String()
	}
	return d
}

// globOf is what pattern makes scope of, if it does.
func globOf(scope string, pattern func(string) string) (string, bool) {
	glob := strings.TrimPrefix(scope, pattern(""))
	return glob, glob != "" && pattern(glob) == scope
}

// edit asks for what differs between the draft and k, of which it is one, and for
// nothing else.
func (d *draft) edit(k *keys.Key, now time.Time) (keys.EditRequest, error) {
	was := draftOf(k)
	req := keys.EditRequest{IfVersion: k.Version}
	if err := d.check(); err != nil {
		return req, err
	}
	if d.name != was.name {
		req.Name = new(d.name)
	}
	if d.owner != was.owner {
		req.Owner = new(d.owner)
	}
	if scopes := d.granted(); !sameSet(scopes, k.Scopes) {
		req.Scopes = &scopes
	}
	if audience := strings.Fields(d.audience); !sameSet(audience, k.Audience) {
		req.Audience = &audience
	}
	if d.rate != was.rate {
		limit, _ := d.limit() // checked above
		req.RateLimit = &limit
	}
	if d.expires != was.expires {
		expires, err := d.newExpiry(now)
		if err != nil {
			return req, err
		}
		req.Expires = &expires
	}
	if req == (keys.EditRequest{IfVersion: k.Version}) {
		return req, errNothingDiffers
	}
	return req, req.Validate()
}

// newExpiry is the end that was typed for a key that has one.
func (d *draft) newExpiry(now time.Time) (keys.Expiry, error) {
	expires, err := keys.ParseExpiry(d.expires)
	if err != nil {
		return expires, err
	}
	if err := (keys.EditRequest{Expires: &expires}).Validate(); err != nil {
		return expires, err
	}
	_, err = expires.At(now)
	return expires, err
}

func sameSet(a, b []string) bool {
	subset := func(a, b []string) bool {
		return !slices.ContainsFunc(a, func(text string) bool { return !slices.Contains(b, text) })
	}
	return subset(a, b) && subset(b, a)
}

// rebase takes over what fresh has, where the user left the field as it was.
func (d *draft) rebase(was, fresh draft) {
	mine, old, theirs := d.texts(), was.texts(), fresh.texts()
	for i := range mine {
		if *mine[i] == *old[i] {
			*mine[i] = *theirs[i]
		}
	}
}

func (d *draft) texts() []*string {
	return []*string{&d.name, &d.owner, &d.tools, &d.prompts, &d.scopes, &d.audience, &d.expires, &d.rate}
}

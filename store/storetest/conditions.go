package storetest

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
)

func conditionsSelect(t *testing.T, f *fixture) {
	soon := start.Add(time.Hour)
	f.create("alpha", func(k *keys.Key) {
		k.ID, k.Owner, k.Scopes, k.Audience = "AAAAAAAAAAA1", "ann", []string{"tools:get_*", "tools:a"}, []string{"weather"}
	})
	f.create("Beta", func(k *keys.Key) {
		k.ID, k.Owner, k.Kind, k.Scopes, k.ExpiresAt = "AAAAAAAAAAz2", "bob", keys.KindAdmin, []string{"keys:read"}, soon
	})
	f.create("gamma", func(k *keys.Key) {
		k.ID, k.Scopes, k.Audience, k.ExpiresAt = "zzzzzzzzzzzz", []string{"tools:get_x"}, []string{"weather2", "maps"}, soon.Add(time.Microsecond)
	})
	f.create("delta", func(k *keys.Key) {
		k.ID, k.Owner, k.ExpiresAt, k.RevokedAt = "000000000000", "ann", soon.Add(-time.Hour), start
	})
	ann, nobody := "ann", ""
	for what, c := range map[string]struct {
		q    keys.Query
		want []string
	}{
		"everything":          {keys.Query{}, []string{"alpha", "Beta", "gamma", "delta"}},
		"unrevoked":           {keys.Query{Unrevoked: true}, []string{"alpha", "Beta", "gamma"}},
		"kind key":            {keys.Query{Kind: keys.KindKey}, []string{"alpha", "gamma", "delta"}},
		"kind admin":          {keys.Query{Kind: keys.KindAdmin}, []string{"Beta"}},
		"name":                {keys.Query{Name: "alpha"}, []string{"alpha"}},
		"name, other case":    {keys.Query{Name: "beta"}, nil},
		"part of a name":      {keys.Query{Name: "alph"}, nil},
		"owner":               {keys.Query{Owner: &ann}, []string{"alpha", "delta"}},
		"no owner":            {keys.Query{Owner: &nobody}, []string{"gamma"}},
		"id prefix":           {keys.Query{IDPrefix: "AAAAAAAAAA"}, []string{"alpha", "Beta"}},
		"whole id":            {keys.Query{IDPrefix: "zzzzzzzzzzzz"}, []string{"gamma"}},
		"more than an id":     {keys.Query{IDPrefix: "zzzzzzzzzzzzz"}, nil},
		"end of an id":        {keys.Query{IDPrefix: "z2"}, nil},
		"scope as granted":    {keys.Query{Scope: "tools:get_*"}, []string{"alpha"}},
		"scope, literal":      {keys.Query{Scope: "tools:get_x"}, []string{"gamma"}},
		"part of a scope":     {keys.Query{Scope: "tools"}, nil},
		"star":                {keys.Query{Scope: "*"}, nil},
		"audience":            {keys.Query{Audience: "weather"}, []string{"alpha"}},
		"second audience":     {keys.Query{Audience: "maps"}, []string{"gamma"}},
		"search name":         {keys.Query{Search: "ETA"}, []string{"Beta"}},
		"search owner":        {keys.Query{Search: "nN"}, []string{"alpha", "delta"}},
		"search id":           {keys.Query{Search: "aaz2"}, []string{"Beta"}},
		"search nothing":      {keys.Query{Search: "omega"}, nil},
		"expires by":          {keys.Query{ExpiresBy: soon}, nil},
		"expires by, later":   {keys.Query{ExpiresBy: soon.Add(1)}, []string{"Beta"}},
		"expires by, latest":  {keys.Query{ExpiresBy: soon.Add(time.Hour)}, []string{"Beta", "gamma"}},
		"already expired too": {keys.Query{ExpiresBy: soon.Add(1000 * time.Hour)}, []string{"Beta", "gamma"}},
	} {
		f.wantList(what, c.q, c.want...)
	}
}

func conditionsAddUp(t *testing.T, f *fixture) {
	ann, bob := "ann", "bob"
	for i, owner := range []string{ann, bob} {
		for j, name := range []string{"one", "two", "three"} {
			id := fmt.Sprintf("%06d%06d", i, j) // a search looks at ids too
			f.create(name, func(k *keys.Key) { k.ID, k.Owner, k.Scopes = id, owner, []string{"tools:" + name} })
		}
	}
	f.wantList("owner and search", keys.Query{Owner: &ann, Search: "t"}, "two", "three")
	f.wantList("owner and scope", keys.Query{Owner: &bob, Scope: "tools:two"}, "two")
	f.wantList("all of them, in pages", keys.Query{
		Owner: &bob, Search: "t", Kind: keys.KindKey, Unrevoked: true, Status: keys.StatusActive, Now: f.now, Limit: 1,
	}, "two", "three")
	f.wantList("contradiction", keys.Query{Owner: &bob, Name: "one", Scope: "tools:two"})
}

// The attack: text that a database reads as a part of its own language. A
// comparable gateway put the caller's key into a statement on its error path and
// gave away its whole table (CVE-2026-42208). Others let % and _ in a filter mean
// "any", so that a search for one owner's keys lists everybody's. Here every text
// finds what is called so, to the letter, and nothing else.
func metacharactersArePlainText(t *testing.T, f *fixture) {
	texts := []string{
		"%", "_", "__________", "*", "?", "[a-z]", `\`, `\%`, "'", "''", `"`, "`", ";", "--", "/*", "$1", ":a", "@a", "?1",
		"' OR '1'='1", "'; DROP TABLE keys; --", `") OR 1=1 --`, "null", "{}", `["a"]`, "a\x00b", "\x00", "ключ", "\u202e",
		strings.Repeat("x", 1<<20),
	}
	f.create("ordinary", func(k *keys.Key) {
		k.Owner, k.Scopes, k.Audience = "ordinary", []string{"ordinary"}, []string{"ordinary"}
	})
	for _, text := range texts {
		f.create(text, func(k *keys.Key) { k.Owner, k.Scopes, k.Audience = text, []string{text}, []string{text} })
	}
	count := len(f.all(keys.Query{}))
	for _, text := range texts {
		short := text[:min(len(text), 30)]
		f.wantList("name "+short, keys.Query{Name: text}, text)
		f.wantList("owner "+short, keys.Query{Owner: &text}, text)
		f.wantList("scope "+short, keys.Query{Scope: text}, text)
		f.wantList("audience "+short, keys.Query{Audience: text}, text)
		var holding []string
		for _, other := range append(texts, "ordinary") {
			if strings.Contains(asciiLower(other), asciiLower(text)) {
				holding = append(holding, other)
			}
		}
		f.wantList("search "+short, keys.Query{Search: text}, holding...)
		if found := f.list(keys.Query{IDPrefix: text}); len(found) > 0 && !strings.HasPrefix(text, "x") {
			t.Errorf("List(id prefix %s): got %d keys, want none", short, len(found))
		}
		if _, err := f.store.Key(t.Context(), text); !errors.Is(err, keys.ErrNotFound) {
			t.Errorf("Key(%q): got %v, want ErrNotFound", short, err)
		}
	}
	if n := len(f.all(keys.Query{})); n != count {
		t.Errorf("got %d keys afterwards, want %d", n, count)
	}
}

func asciiLower(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}

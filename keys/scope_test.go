package keys_test

import (
	"errors"
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/mcpscope"
)

func mustCompile(tb testing.TB, granted ...string) *keys.Scopes {
	tb.Helper()
	s, err := keys.CompileScopes(granted)
	if err != nil {
		tb.Fatalf("CompileScopes(%q): %v", granted, err)
	}
	return s
}

// TestScopeTable is the table that documents the rules.
func TestScopeTable(t *testing.T) {
	for _, row := range []struct {
		granted string
		allows  []string
		denies  []string
	}{
		{"tools:get_forecast", []string{"tools:get_forecast"}, []string{"tools:get", "tools:get_forecast:x", "tools:get_forecasts", "Tools:get_forecast"}},
		{"tools:get_*", []string{"tools:get_forecast", "tools:get_"}, []string{"tools:set_x", "tools", "tools:get_a:b", "xtools:get_a"}},
		{"tools:*", []string{"tools:a", "tools:a:b", "tools:a:b:c"}, []string{"tools", "prompts:a", "toolsx:a", "tools:"}},
		{"*", []string{"tools", "tools:a", "a:b:c:d", "keys:read"}, []string{"", ":", "a:", ":a", "a::b", "a b", "a*", "*"}},
		{"tools:*:read", []string{"tools:a:read"}, []string{"tools:read", "tools:a:b:read", "tools:a:write"}},
		{"tools:*_*_x", []string{"tools:a_b_x", "tools:__x", "tools:a_b_c_x"}, []string{"tools:a_x", "tools:a_b_xy"}},
		{"*:get_*", []string{"tools:get_a", "prompts:get_b"}, []string{"get_a", "a:b:get_c"}},
		{"t*:*", []string{"tools:a", "t:a:b"}, []string{"tools", "t", "xtools:a"}},
		{"tools:*:*", []string{"tools:a:b", "tools:a:b:c"}, []string{"tools:a", "tools"}},
		{"a:**", []string{"a:b"}, []string{"a:b:c", "a"}},
	} {
		s := mustCompile(t, row.granted)
		for _, required := range row.allows {
			if !s.Allows(required) {
				t.Errorf("granted %q: Allows(%q): got false, want true", row.granted, required)
			}
		}
		for _, required := range row.denies {
			if s.Allows(required) {
				t.Errorf("granted %q: Allows(%q): got true, want false", row.granted, required)
			}
		}
	}
}

func TestNothingGrantsNothing(t *testing.T) {
	var none *keys.Scopes
	for name, s := range map[string]*keys.Scopes{"nil": none, "zero": {}, "empty": mustCompile(t)} {
		if s.Allows("tools:a") || s.Allows("") || len(s.Granted()) != 0 {
			t.Errorf("%s Scopes grant something", name)
		}
	}
}

func TestScopesAreRefused(t *testing.T) {
	for name, granted := range map[string]string{
		"empty": "", "space": "tools:a b", "two scopes": "tools:a tools:b", "quote": `tools:"a"`, "backslash": `tools:\a`,
		"control": "tools:\x01", "newline": "tools:a\n", "NUL": "tools:a\x00", "not ASCII": "tools:é", "leading colon": ":a",
		"trailing colon": "tools:", "empty part": "tools::a", "too long": "tools:" + strings.Repeat("a", keys.MaxScope),
		"a key": "tools:" + keys.NewToken(keys.KindKey).Secret().Reveal(),
	} {
		_, err := keys.CompileScopes([]string{"tools:fine", granted})
		var invalid *keys.InvalidError
		if !errors.As(err, &invalid) || invalid.Field != "scopes" {
			t.Errorf("CompileScopes with %s: got %v, want an InvalidError of scopes", name, err)
		} else if granted != "" && granted != ":a" && strings.Contains(err.Error(), granted) {
			t.Errorf("CompileScopes with %s: the error repeats the value", name)
		}
	}
	for _, required := range []string{"tools:*", "*", "", "a:", "a b"} {
		if keys.ValidateRequired(required) == nil {
			t.Errorf("ValidateRequired(%q): accepted", required)
		}
	}
}

// slowAllows is the specification, written for clarity: a granted scope as a
// regular expression.
func slowAllows(granted []string, required string) bool {
	part := regexp.MustCompile(`^[!#-)+-9;-\[\]-~]+$`) // scope characters but for * and :
	for _, p := range strings.Split(required, ":") {
		if !part.MatchString(p) {
			return false
		}
	}
	for _, g := range granted {
		parts := strings.Split(g, ":")
		var b strings.Builder
		b.WriteString("^")
		for i, p := range parts {
			if i > 0 {
				b.WriteString(":")
			}
			if p == "*" && i == len(parts)-1 {
				b.WriteString(`[^:]+(:[^:]+)*`)
				continue
			}
			for j, run := range strings.Split(p, "*") {
				if j > 0 {
					b.WriteString("[^:]*")
				}
				b.WriteString(regexp.QuoteMeta(run))
			}
		}
		b.WriteString("$")
		if regexp.MustCompile(b.String()).MatchString(required) {
			return true
		}
	}
	return false
}

// TestScopesMatchReference draws grants and requirements from a tiny alphabet, so
// that hits, near misses and nested stars are common.
func TestScopesMatchReference(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		granted := rapid.SliceOfN(rapid.StringMatching(`[ab*]{1,5}(:[ab*]{1,5}){0,3}`), 0, 4).Draw(t, "granted")
		required := rapid.OneOf(
			rapid.StringMatching(`[ab]{1,6}(:[ab]{1,6}){0,3}`),
			rapid.StringMatching(`[ab:*" ]{0,8}`),
		).Draw(t, "required")
		s, err := keys.CompileScopes(granted)
		if err != nil {
			t.Fatalf("CompileScopes(%q): %v", granted, err)
		}
		if got, want := s.Allows(required), slowAllows(granted, required); got != want {
			t.Fatalf("granted %q: Allows(%q): got %v, want %v", granted, required, got, want)
		}
	})
}

// TestNamesCannotForge: whatever a server calls its tools, the scope of a name never
// matches a grant for another name, and never acts as a pattern.
func TestNamesCannotForge(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := rapid.OneOf(rapid.StringMatching(`[ab:*%3A ]{0,4}`), rapid.String())
		a, b := names.Draw(t, "a"), names.Draw(t, "b")
		s, err := keys.CompileScopes([]string{mcpscope.Tool(a)})
		if a == "" {
			if err == nil {
				t.Fatal("a tool without a name was granted")
			}
			return
		}
		if err != nil {
			if len(mcpscope.Tool(a)) > keys.MaxScope || keys.LooksLikeToken(a) {
				return
			}
			t.Fatalf("CompileScopes(%q): %v", mcpscope.Tool(a), err)
		}
		if got, want := s.Allows(mcpscope.Tool(b)), a == b; got != want {
			t.Fatalf("granted tool %q: call of %q: got %v, want %v", a, b, got, want)
		}
	})
}

func TestEmptyNamesAreDenied(t *testing.T) {
	s := mustCompile(t, "*", "tools:*", "prompts:*", "resources:*")
	for _, required := range []string{mcpscope.Tool(""), mcpscope.Prompt(""), mcpscope.Resource("")} {
		if s.Allows(required) {
			t.Errorf("Allows(%q): got true, want false", required)
		}
	}
}

// TestResourceDotSegments: a key that may read file:///x/* asks for
// file:///x/../secret, and a server that resolves paths would return it. No grant
// matches such a URI, in any spelling.
func TestResourceDotSegments(t *testing.T) {
	s := mustCompile(t, "*", mcpscope.ResourcePattern("file:///x/*"))
	for _, uri := range []string{
		"file:///x/../secret", "file:///x/..", "file:///x/./a", "file:///x/%2e%2e/secret", "file:///x/.%2E/secret",
		"file:///x/%2E%2e%2fsecret", `file:///x\..\secret`, "file:///x/%5c..%5Csecret", "../secret", "..", "file:///x/..?q", "file:///x/..#f",
	} {
		if s.Allows(mcpscope.Resource(uri)) {
			t.Errorf("ResourceScope(%q) is granted", uri)
		}
	}
	for _, uri := range []string{"file:///x/a..b", "file:///x/.hidden", "file:///x/a.", "file:///x/...", "https://h.example/x?v=1.0"} {
		if !s.Allows(mcpscope.Resource(uri)) {
			t.Errorf("ResourceScope(%q) is denied", uri)
		}
	}
}

func BenchmarkAllows(b *testing.B) {
	s, _ := keys.CompileScopes([]string{"tools:get_*", "prompts:*", "resources:file%3A%2F%2F*"})
	b.ReportAllocs()
	for b.Loop() {
		if !s.Allows("tools:get_forecast") {
			b.Fatal("denied")
		}
	}
}

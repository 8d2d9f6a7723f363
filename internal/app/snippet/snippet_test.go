package snippet_test

import (
	"encoding/json"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/mcpkeys/mcpkeys/internal/app/snippet"
	"github.com/mcpkeys/mcpkeys/internal/dev/readmetest"
)

// The pages show the texts as the command prints them, for the audience weather at the default
// URL. A text of several blocks has an empty line between them.
func TestPagesHaveTheTexts(t *testing.T) {
	blocks := map[string]int{} // the text of a block to how many texts have it
	for _, name := range []string{"other-languages.md", "forward-auth.md"} {
		page, err := os.ReadFile("../../../docs/" + name)
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range readmetest.Blocks(string(page)) {
			switch b.Lang {
			case "js", "python", "yaml", "json", "nginx", "caddyfile":
				blocks[strings.Join(b.Lines, "\n")+"\n"] = 0
			}
		}
	}
	for _, name := range snippet.Servers() {
		rest := snippet.Text(name, "weather", snippet.DefaultURL)
		for rest != "" {
			before := len(rest)
			for block := range blocks {
				if after, ok := strings.CutPrefix(rest, block); ok {
					blocks[block]++
					rest = strings.TrimPrefix(after, "\n")
					break
				}
			}
			if len(rest) == before {
				t.Fatalf("%s: no page has this:\n%s", name, rest)
			}
		}
	}
	for block, n := range blocks {
		if n == 0 && !strings.Contains(block, "async function kept(") { // a reader may add it
			t.Errorf("no text has this block of a page:\n%s", block)
		}
	}
}

// odd are audiences and URLs that end a string, or mean something in one of the languages.
var odd = []string{
	"weather2", "it's", `a"b`, `a\b`, `a'b"c\d`, "${HOME}", "#{1}", "a#b", "a:b&c=d", "%20", "{x}", "`x`", "wetter-köln", "天気", "🌦",
	"</script>", "$(x)", "https://mcp.internal/weather?x=1", "weather", "a\u2028b",
}

// The filled texts are valid, and the value is the one that was given. Python and JavaScript read
// a string of JSON as JSON does.
func TestTextsQuote(t *testing.T) {
	for _, audience := range odd {
		py := assignment(t, snippet.Text("python", audience, "https://[::1]:8420"), "AUDIENCE = ")
		if got := unquoted(t, py); got != audience {
			t.Errorf("python: got %q from %s, want %q", got, py, audience)
		}
		if other := assignment(t, snippet.Text("fastmcp", audience, "https://[::1]:8420"), "AUDIENCE = "); other != py {
			t.Errorf("fastmcp: got %s, want %s", other, py)
		}
		js := assignment(t, snippet.Text("ts", audience, "https://[::1]:8420"), "const audience = ")
		if inner, ok := strings.CutPrefix(js, "'"); ok && !strings.ContainsAny(strings.TrimSuffix(inner, "'"), `'\"`) {
			js = `"` + strings.TrimSuffix(inner, "'") + `"`
		}
		if got := unquoted(t, js); got != audience {
			t.Errorf("ts: got %q from %s, want %q", got, js, audience)
		}
		uri := assignment(t, snippet.Text("spring", audience, "https://[::1]:8420"), "introspection-uri: ")
		u, err := url.Parse(strings.Trim(uri, `"`))
		proxied(t, audience)
		if err != nil || u.Query().Get("audience") != audience || u.Query().Get("scope") != "tools:get_forecast tools:set_alarm" ||
			strings.ContainsAny(uri, `${}\`) {
			t.Errorf("spring: got %s, want the audience %q in it", uri, audience)
		}
	}
}

// proxied checks the URL in the configuration of each proxy.
func proxied(t *testing.T, audience string) {
	t.Helper()
	for _, name := range []string{"nginx", "caddy", "traefik", "envoy", "apisix"} {
		text := snippet.Text(name, audience, "http://10.0.0.7:8420")
		found := regexp.MustCompile(`(?:/v1/forward-auth\?audience=([^&";\s]*)|/v1/forward-auth/a/([^/]*)/-)`).FindStringSubmatch(text)
		if found == nil || !strings.Contains(text, "10.0.0.7:8420") {
			t.Errorf("%s: got %s, want the URL with the audience", name, text)
			continue
		}
		if got, err := url.PathUnescape(found[1] + found[2]); err != nil || got != audience {
			t.Errorf("%s: got the audience %q (%v), want %q", name, got, err, audience)
		}
	}
}

// No text still has the sample where something else was given.
func TestTextsAreFilled(t *testing.T) {
	for _, name := range snippet.Servers() {
		at := "https://keys.internal:8420"
		if snippet.PlainHTTP(name) {
			at = "http://keys.internal:8420"
		}
		text := snippet.Text(name, "billing", at)
		if snippet.PlainHTTP(name) {
			at = "keys.internal:8420"
		}
		if strings.Contains(text, "weather") || strings.Contains(text, "127.0.0.1:8420") || !strings.Contains(text, "billing") ||
			!strings.Contains(text, at) {
			t.Errorf("%s: got %s, want the audience and the URL that were given", name, text)
		}
		if strings.Contains(text, "mcpk_") || strings.Contains(text, "mcpa_") {
			t.Errorf("%s: a secret is in it: %s", name, text)
		}
	}
}

func assignment(t *testing.T, text, start string) string {
	t.Helper()
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), strings.TrimSpace(start)); ok {
			return strings.TrimSpace(value)
		}
	}
	t.Fatalf("%q is not in %s", start, text)
	return ""
}

func unquoted(t *testing.T, text string) (s string) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		t.Errorf("%s: %v", text, err)
	}
	return s
}

// Package snippet has the texts that let MCP servers in other languages check keys, and proxies
// in front of them: those of docs/other-languages.md and docs/forward-auth.md, filled in. Call
// [Text].
//
// A value is quoted as the language needs. No text has a secret: it names where the secret is.
package snippet

import (
	"embed"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
)

//go:embed texts
var texts embed.FS

// DefaultURL is where keyctl serve listens by default. The texts have it.
const DefaultURL = "http://127.0.0.1:8420"

// sampleAudience is the audience that the texts have.
const sampleAudience = "weather"

// parts are the files of each text, in their order.
var parts = map[string][]string{
	"apisix":  {"apisix.json"},
	"caddy":   {"Caddyfile"},
	"envoy":   {"envoy.yaml"},
	"fastmcp": {"fastmcp.py"},
	"nginx":   {"nginx.conf"},
	"python":  {"python.py"},
	"spring":  {"spring.yaml"},
	"traefik": {"traefik.yaml"},
	"ts":      {"ts-1.js", "ts-2.js", "ts-3.js"},
	"ts-v1":   {"ts-v1-1.js", "ts-2.js", "ts-v1-3.js"},
}

// Servers are the names that [Text] knows, sorted.
func Servers() []string {
	var names []string
	for name := range parts {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// PlainHTTP reports whether the text for a server works only with a keyctl serve without TLS.
func PlainHTTP(server string) bool { return server == "nginx" }

// Text is the text for a server, which must be one of [Servers], for this audience and the
// keyctl serve at this URL. Both are quoted as the language needs.
func Text(server, audience, at string) string {
	out := make([]string, len(parts[server]))
	for i, name := range parts[server] {
		text, err := texts.ReadFile("texts/" + name)
		if err != nil {
			panic(err) // a test reads all of them
		}
		out[i] = fill(name, string(text), audience, at)
	}
	return strings.Join(out, "\n")
}

func fill(name, text, audience, at string) string {
	switch {
	case strings.HasSuffix(name, ".js"):
		return strings.NewReplacer("'"+sampleAudience+"'", inJS(audience), "'"+DefaultURL+"'", inJS(at)).Replace(text)
	case strings.HasSuffix(name, ".py"):
		return strings.NewReplacer(`"`+sampleAudience+`"`, quoted(audience), `"`+DefaultURL+`"`, quoted(at)).Replace(text)
	}
	address := strings.TrimPrefix(at, "http://")
	encoded := url.QueryEscape(audience) // fits a path too: an audience has no spaces
	switch name {
	case "nginx.conf", "Caddyfile":
		return strings.NewReplacer("audience="+sampleAudience, "audience="+encoded, strings.TrimPrefix(DefaultURL, "http://"), address).Replace(text)
	case "envoy.yaml":
		return strings.NewReplacer("/a/"+sampleAudience+"/", "/a/"+encoded+"/", DefaultURL, at).Replace(text)
	}
	// Within double quotes, where Spring also replaces ${...}: the query's encoding has none of these characters.
	within := strings.Trim(quoted(at), `"`)
	return strings.NewReplacer("audience="+sampleAudience, "audience="+encoded, DefaultURL, within).Replace(text)
}

// quoted is s as a string of JSON, which Python, JavaScript and YAML read as well.
func quoted(s string) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) // a string can be encoded
	return strings.TrimSuffix(b.String(), "\n")
}

// inJS is s in single quotes, as the text has it, if nothing in it needs another form.
func inJS(s string) string {
	if q := quoted(s); !strings.ContainsAny(q[1:len(q)-1], `'\`) {
		return "'" + q[1:len(q)-1] + "'"
	}
	return quoted(s)
}

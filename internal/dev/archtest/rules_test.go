package archtest_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

const (
	sqlite = "github.com/mattn/go-sqlite3"
	otter  = "github.com/maypok86/otter/v2"
	gin    = "github.com/gin-gonic/gin"
	gosdk  = "github.com/modelcontextprotocol/go-sdk"
	huma   = "github.com/danielgtaylor/huma/v2"
	charm  = "charm.land"
)

// A layer says what the packages under a path may import. Paths are those inside this module,
// or import paths of others; x/... means x and everything below it. The standard library is
// always allowed. Tests may import anything.
type layer struct {
	path  string
	may   []string // the allowed direct imports; nil means any
	never []string // not linked in, directly or not
	why   string
}

var layers = []layer{
	{
		path:  "keys",
		may:   []string{"keys/internal/..."},
		never: []string{sqlite, gin + "/...", gosdk + "/...", "keys/pepper", "keys/audit", "store/..."},
		why:   "the domain stands alone, so that every surface can build on it",
	},
	{
		path: "keys/internal/...",
		may:  []string{"keys/internal/..."},
		why:  "what tokens, seals and audit rows are rendered with depends on nothing else",
	},
	{
		path:  "keys/usage",
		may:   []string{"keys"},
		never: []string{"keys/pepper", "store/..."},
		why:   "what is noted of requests knows no store",
	},
	{
		path:  "keys/feed",
		may:   []string{"keys"},
		never: []string{"keys/pepper", "store/..."},
		why:   "what readers follow knows no store",
	},
	{
		path:  "keys/requestid",
		may:   []string{"keys", "keys/internal/...", "github.com/google/uuid"},
		never: []string{"keys/pepper", "store/..."},
		why:   "the id of a request knows no store",
	},
	{
		path: "keys/mcpscope",
		may:  []string{"keys/internal/..."},
		why:  "how a name becomes a scope depends on nothing",
	},
	{
		path:  "keys/audit",
		may:   []string{"keys", "keys/feed", "keys/requestid", "keys/internal/...", "github.com/google/uuid"},
		never: []string{"keys/pepper", "store/..."},
		why:   "the rows can be verified without a pepper",
	},
	{
		path:  "keys/pepper",
		may:   []string{"keys", "keys/audit", "keys/internal/...", "golang.org/x/crypto/..."},
		never: []string{"store/..."},
		why:   "what touches a pepper is small and knows no store",
	},
	{
		path: "store",
		may:  []string{"keys", "keys/feed", "keys/usage", "keys/audit", "keys/pepper"},
		why:  "the contract names the domain and nothing else",
	},
	{
		path:  "admin",
		may:   []string{"keys", "keys/usage", "keys/audit", "store"},
		never: []string{sqlite, gin + "/...", huma + "/...", "middleware/...", "verifier/...", "admin/server"},
		why:   "administration knows the contract of a store, and no surface",
	},
	{
		path:  "admin/importing",
		may:   []string{"keys", "keys/audit", "keys/pepper", "store", "admin"},
		never: []string{sqlite, gin + "/..."},
		why:   "an import is administration",
	},
	{
		path:  "verifier",
		may:   []string{"keys", "keys/feed", "keys/usage", "verifier/internal/...", otter},
		never: []string{sqlite, gin + "/...", "admin/...", "store/...", "keys/pepper", "verifier/local"},
		why:   "the hot path asks a Source, and knows no store, no pepper and no framework",
	},
	{
		path:  "verifier/local",
		may:   []string{"keys", "keys/feed", "keys/usage", "keys/pepper", "verifier", "verifier/internal/...", otter},
		never: []string{sqlite, gin + "/...", "admin/...", "store/sqlite/..."},
		why:   "it joins a store that it is given with its peppers",
	},
	{
		path:  "verifier/remote",
		may:   []string{"keys", "keys/feed", "keys/usage", "verifier", "verifier/internal/...", "internal/base/protocol", "internal/base/hostcheck", "internal/base/infile", "internal/base/peercheck"},
		never: []string{sqlite, gin + "/...", huma + "/...", "admin/...", "store/...", "keys/pepper", "verifier/local", "internal/base/leases", "internal/base/restapi"},
		why:   "a guarded program that asks a server holds neither key store nor pepper",
	},
	{
		path: "internal/base/protocol",
		may:  []string{},
		why:  "both sides of the network have the same messages, and nothing else in common",
	},
	{
		path: "verifier/internal/...",
		may:  []string{"keys"},
		why:  "the parts of a verifier know nothing of the whole",
	},
	{
		path:  "middleware",
		may:   []string{"keys", "keys/requestid", "keys/usage", "verifier", "internal/base/loglimit"},
		never: []string{sqlite, gin + "/...", "admin/...", "store/...", "keys/pepper"},
		why:   "a guarded server chooses its own store",
	},
	{
		path:  "middleware/ginauth",
		may:   []string{"keys", "verifier", "middleware", gin + "/..."},
		never: []string{sqlite},
		why:   "an adapter adapts one framework",
	},
	{
		path:  "middleware/mcpauth",
		may:   []string{"keys", "keys/mcpscope", "keys/requestid", "verifier", "middleware", "middleware/internal/...", gosdk + "/..."},
		never: []string{sqlite, gin + "/..."},
		why:   "an MCP server that is guarded links no web framework and no database through us",
	},
	{
		path:  "middleware/mcphttp",
		may:   []string{"keys", "keys/mcpscope", "keys/requestid", "middleware", "middleware/internal/...", "internal/base/idheader"},
		never: []string{sqlite, gin + "/...", gosdk + "/...", "store/...", "keys/pepper"},
		why:   "it guards servers in any language, and links no SDK",
	},
	{
		path: "middleware/internal/mcpjson",
		may:  []string{},
		why:  "a reader of JSON depends on nothing",
	},
	{
		path:  "middleware/internal/...",
		may:   []string{"keys", "keys/mcpscope", "keys/requestid", "middleware", "middleware/internal/...", "internal/base/hostcheck"},
		never: []string{sqlite, gin + "/...", gosdk + "/..."},
		why:   "the adapters for MCP share it, and one of them links no SDK",
	},
	{
		path:  "mcpkeystest",
		may:   []string{"keys", "keys/feed", "keys/usage", "verifier", "middleware"},
		never: []string{sqlite, "store/...", "keys/pepper"},
		why:   "a test of scopes needs no store",
	},
	{
		path:  "store/...",
		never: []string{"middleware/...", "verifier/...", "admin/server", "admin/client", "verifyapi/...", "cmd/...", "internal/app/connect", "internal/app/server"},
		why:   "a store serves the domain; a restore repeats revocations by the rules of admin",
	},
	{
		path: "internal/base/loglimit",
		may:  []string{"keys"},
		why:  "the guards and the API share it, and it depends on neither",
	},
	{
		path: "internal/base/hostcheck",
		may:  []string{},
		why:  "one rule for two servers depends on neither",
	},
	{
		path: "internal/base/peercheck",
		may:  []string{"keys", "golang.org/x/sys/..."},
		why:  "guards and keyctl check a socket by one rule, which depends on neither",
	},
	{
		path: "admin/api",
		may:  []string{},
		why:  "what goes over the wire depends on nothing",
	},
	{
		path:  "admin/client",
		may:   []string{"keys", "keys/feed", "keys/usage", "keys/audit", "store", "admin", "admin/api", "internal/base/hostcheck", "internal/base/peercheck"},
		never: []string{sqlite, gin + "/...", huma + "/...", "store/sqlite/...", "middleware/...", "verifier", "admin/server", "internal/base/restapi", "internal/app/server"},
		why:   "the client links no server code",
	},
	{
		path:  "admin/server",
		may:   []string{"store", "verifier", "internal/base/keyroutes", "internal/base/restapi"},
		never: []string{sqlite, "store/sqlite/..."},
		why:   "it opens the routes to programs outside, and adds nothing",
	},
	{
		path:  "verifyapi",
		may:   []string{"verifier", "internal/base/verifyroutes", "internal/base/restapi"},
		never: []string{sqlite, "store/sqlite/..."},
		why:   "it opens the route to programs outside, and adds nothing",
	},
	{
		path:  "internal/base/keyroutes",
		may:   []string{"keys", "keys/usage", "keys/audit", "store", "admin", "admin/api", "internal/base/restapi", "internal/base/wire", huma + "/..."},
		never: []string{sqlite, "store/sqlite/..."},
		why:   "the API acts through admin.Manager, and another decides who may call it",
	},
	{
		path:  "internal/base/leases",
		may:   []string{"keys", "keys/feed", "internal/base/protocol"},
		never: []string{sqlite, gin + "/...", huma + "/...", "store/...", "verifier/..."},
		why:   "who holds a lease is known without a store and without HTTP",
	},
	{
		path:  "internal/base/verifyroutes",
		may:   []string{"keys", "keys/pepper", "keys/requestid", "keys/usage", "verifier", "admin", "admin/api", "internal/base/leases", "internal/base/protocol", "internal/base/forwardauth", "internal/base/idheader", "internal/base/restapi", "internal/base/wire", huma + "/..."},
		never: []string{sqlite, "store/sqlite/..."},
		why:   "the decision is the verifier's",
	},
	{
		path:  "internal/base/forwardauth",
		may:   []string{"keys", "middleware", "admin/api", "internal/base/idheader"},
		never: []string{sqlite, "store/sqlite/...", huma + "/..."},
		why:   "the decision is the guard's",
	},
	{
		path:  "internal/base/restapi",
		may:   []string{"keys", "keys/feed", "keys/requestid", "store", "admin", "verifier", "middleware", "middleware/ginauth", "internal/base/loglimit", "admin/api", gin + "/...", huma + "/...", "github.com/go-json-experiment/json/..."},
		never: []string{sqlite, "store/sqlite/..."},
		why:   "what the APIs share knows no database",
	},
	{
		path:  "internal/base/...",
		never: []string{"internal/app/...", "internal/dev/...", "store/sqlite/..."},
		why:   "what public packages share is linked into every program of theirs",
	},
	{
		path:  "internal/app/stdio",
		may:   []string{"keys", "github.com/go-json-experiment/json/...", "golang.org/x/sys/..."},
		never: []string{sqlite, gin + "/...", gosdk + "/...", "store/...", "keys/pepper", "admin/..."},
		why:   "what talks to an MCP server knows who calls, and no secret",
	},
	{
		path:  "internal/app/...",
		never: []string{"internal/dev/..."},
		why:   "what tests and measures is in no program",
	},
	{
		path:  "...",
		never: []string{"cmd/keyctl"},
		why:   "a program is not a library",
	},
}

// A border lists the only packages that may import a package.
type border struct {
	path string
	only []string
	why  string
}

var borders = []border{
	{
		path: "store/sqlite/...",
		only: []string{"store/sqlite/...", "cmd/...", "examples/...", "e2e/...", "internal/app/connect", "internal/app/doctor", "internal/app/server", "internal/app/guardproxy", "internal/dev/servertest", "internal/app/demo", "internal/dev/guardtest", "internal/dev/bench", "internal/dev/scale/..."},
		why:  "which store runs is wiring, and wiring has its places; a doctor looks below the interfaces",
	},
	{
		path: sqlite,
		only: []string{"store/sqlite/..."},
		why:  "the driver is hidden behind the store, its errors too",
	},
	{
		path: gin + "/...",
		only: []string{"middleware/ginauth", "internal/base/restapi", "internal/app/server", "internal/dev/bench", "examples/..."},
		why:  "gin is one adapter, and the framework of the API",
	},
	{
		path: huma + "/...",
		only: []string{"internal/base/restapi", "internal/base/keyroutes", "internal/base/verifyroutes", "internal/app/server"},
		why:  "the API's framework stays in the API",
	},
	{
		path: gosdk + "/...",
		only: []string{"middleware/mcpauth", "internal/app/demo", "internal/dev/bench", "examples/...", "e2e/...", "cmd/..."},
		why:  "MCP is one adapter",
	},
	{
		path: "internal/dev/guardtest",
		only: []string{"internal/dev/guardtest"},
		why:  "it is for tests",
	},
	{
		path: "internal/app/...",
		only: []string{"internal/app/...", "internal/dev/...", "cmd/...", "e2e/..."},
		why:  "a library is not built on a program",
	},
	{
		path: "mcpkeystest",
		only: []string{},
		why:  "it proves secrets by comparing them as they are, which is for tests alone",
	},
	{
		path: "internal/dev/bench/...",
		only: []string{"internal/dev/bench/..."},
		why:  "it measures, and nothing is built on it",
	},
	{
		path: "examples/...",
		only: []string{"examples/...", "internal/app/demo", "cmd/keyctl"},
		why:  "an example shows, and only the demo is built on it",
	},
	{
		path: charm + "/...",
		only: []string{"internal/app/tui"},
		why:  "who draws on a terminal does it in one place",
	},
}

func TestImportsFollowTheArrows(t *testing.T) {
	for _, fault := range faults(load(t)) {
		t.Error(fault)
	}
}

// faults applies every rule to every package.
func faults(list []*pkg) []string {
	var out []string
	for _, p := range list {
		for _, l := range layers {
			out = append(out, l.faults(p)...)
		}
		for _, b := range borders {
			out = append(out, b.faults(p)...)
		}
	}
	return out
}

func (l layer) faults(p *pkg) []string {
	if !fits(l.path, p.path()) || !ours(p.ImportPath) {
		return nil
	}
	var out []string
	for _, imported := range p.Imports {
		if l.may != nil && !standard(imported) && !fitsAny(l.may, inside(imported)) {
			out = append(out, fmt.Sprintf("%s imports %s: %s", p.path(), imported, l.why))
		}
	}
	for _, dep := range p.Deps {
		if fitsAny(l.never, inside(dep)) {
			out = append(out, fmt.Sprintf("%s links %s: %s", p.path(), dep, l.why))
		}
	}
	return out
}

func (b border) faults(p *pkg) []string {
	if fitsAny(b.only, p.path()) {
		return nil
	}
	var out []string
	for _, imported := range p.Imports {
		if fits(b.path, inside(imported)) {
			out = append(out, fmt.Sprintf("%s imports %s: %s", p.path(), imported, b.why))
		}
	}
	return out
}

// fits reports whether path is what pattern says.
func fits(pattern, path string) bool {
	stem, below := strings.CutSuffix(pattern, "...")
	if !below {
		return path == pattern
	}
	return path == strings.TrimSuffix(stem, "/") || strings.HasPrefix(path, stem)
}

func fitsAny(patterns []string, path string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return fits(p, path) })
}

// standard: import paths of the standard library have no dot in their first part.
func standard(importPath string) bool {
	first, _, _ := strings.Cut(importPath, "/")
	return !strings.Contains(first, ".")
}

func ours(importPath string) bool {
	return importPath == module || strings.HasPrefix(importPath, module+"/")
}

// Each rule is tested with a package that breaks it.
func TestWrongArrowsAreRefused(t *testing.T) {
	for _, tc := range []struct {
		path    string
		imports string
		deps    string
	}{
		{path: "keys", imports: "database/sql " + sqlite},
		{path: "keys", imports: "golang.org/x/sys/unix"},
		{path: "keys", imports: module + "/verifier"},
		{path: "keys", imports: "golang.org/x/crypto/argon2"},
		{path: "keys", imports: module + "/keys/pepper"},
		{path: "keys/audit", deps: module + "/keys/pepper"},
		{path: "keys/pepper", imports: module + "/store"},
		{path: "store", imports: module + "/admin"},
		{path: "admin", deps: module + "/admin/server"},
		{path: "verifier", imports: module + "/store/sqlite"},
		{path: "verifier", deps: sqlite},
		{path: "verifier", imports: module + "/verifier/local"},
		{path: "verifier", deps: module + "/keys/pepper"},
		{path: "verifier/local", imports: module + "/store/sqlite"},
		{path: "middleware", imports: module + "/verifier/local"},
		{path: "verifier/internal/flight", imports: module + "/verifier"},
		{path: "middleware", imports: gin},
		{path: "middleware", imports: "golang.org/x/time/rate"},
		{path: "middleware/ginauth", imports: module + "/store/sqlite"},
		{path: "middleware/mcpauth", deps: gin + "/binding"},
		{path: "middleware/mcpauth", deps: sqlite},
		{path: "middleware/mcphttp", deps: gosdk + "/mcp"},
		{path: "middleware/internal/mcppolicy", imports: gosdk + "/mcp"},
		{path: "middleware/internal/mcpjson", imports: module + "/keys"},
		{path: "store/storetest", deps: module + "/verifier"},
		{path: "store/sqlite", deps: module + "/middleware/ginauth"},
		{path: "admin/client", deps: module + "/store/sqlite"},
		{path: "admin/client", deps: module + "/verifier"},
		{path: "admin/client", imports: huma},
		{path: "internal/base/newfile", deps: module + "/internal/app/connect"},
		{path: "internal/app/tui", deps: module + "/internal/dev/scale"},
		{path: "middleware", imports: module + "/internal/app/wording"},
		{path: "internal/app/stdio", imports: module + "/middleware"},
		{path: "internal/app/stdio", deps: module + "/keys/pepper"},
		{path: "admin/api", imports: module + "/keys"},
		{path: "admin", imports: module + "/verifier"},
		{path: "cmd/keyctl", imports: huma},
		{path: "internal/app/demo", deps: module + "/cmd/keyctl"},
		{path: "admin", imports: module + "/store/sqlite"},
		{path: "cmd/keyctl", imports: sqlite},
		{path: "cmd/keyctl", imports: gin},
		{path: "verifyapi", imports: gosdk + "/mcp"},
		{path: "cmd/tui", imports: charm + "/bubbletea/v2"},
		{path: "admin", imports: module + "/examples/mcpserver/weather"},
	} {
		p := &pkg{
			ImportPath: module + "/" + tc.path,
			Imports:    strings.Fields(tc.imports),
			Deps:       strings.Fields(tc.deps),
		}
		if got := faults([]*pkg{p}); len(got) == 0 {
			t.Errorf("faults(%s imports %q, links %q): got none", tc.path, tc.imports, tc.deps)
		}
	}
}

func TestRightArrowsPass(t *testing.T) {
	for _, tc := range []struct{ path, imports string }{
		{"keys/requestid", "crypto/rand github.com/google/uuid"},
		{"keys/pepper", "crypto/hkdf " + module + "/keys golang.org/x/crypto/argon2"},
		{"middleware/mcpauth", module + "/keys " + module + "/middleware " + gosdk + "/mcp"},
		{"middleware/ginauth", module + "/middleware " + gin},
		{"store/sqlite", module + "/keys " + sqlite},
		{"internal/app/demo", module + "/store/sqlite " + gosdk + "/mcp"},
		{"cmd/keyctl", module + "/store/sqlite github.com/spf13/cobra"},
	} {
		p := &pkg{ImportPath: module + "/" + tc.path, Imports: strings.Fields(tc.imports)}
		if got := faults([]*pkg{p}); len(got) != 0 {
			t.Errorf("faults(%s imports %q): got %q, want none", tc.path, tc.imports, got)
		}
	}
}

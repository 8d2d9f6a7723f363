package mcphttp

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/mcpkeys/mcpkeys/middleware/internal/mcpjson"
	"github.com/mcpkeys/mcpkeys/middleware/internal/mcppolicy"
)

// Bounds of one list: how many pages, how many bytes of answers, and for how long.
const (
	maxPages   = 200
	maxList    = 16 << 20
	listWithin = 30 * time.Second
	listAsked  = 10 * time.Minute // from a question of the server to the client on: a person may have to answer it
)

// resultMembers are those of a list's result that are judged or changed.
var resultMembers = []string{"tools", "prompts", "resources", "resourceTemplates", "nextCursor", "cacheScope", "ttlMs", "_meta"}

// entryMembers are those of an entry by which a reader knows it.
var entryMembers = []string{"name", "uri", "uriTemplate"}

var errNoAnswer = &mcppolicy.Error{
	Code: mcppolicy.CodeInternal, Message: "The MCP server behind this guard gave no usable answer. Its operator finds the reason in the log.",
}

// log notes a fault of next.
func (x *exchange) log(err error, method string) {
	x.h.guard.LogRefusal(x.admitted, "bad_upstream", err, slog.String("method", method))
}

// gather reads all pages. Members of the result other than its entries are those of the first
// page. An error of next becomes the answer.
func (x *exchange) gather(ctx context.Context, m *message, l mcppolicy.List, b *beside) (out listed, err error) {
	g := gathering{list: l, may: func(name string) bool { return x.identity.Allows(l.Scope(name)) }, names: map[string]bool{}}
	var firstMessage *message
	var first mcpjson.Object
	left := maxList
	var cursor mcpjson.Value
	for page := 0; ; page++ {
		if page == maxPages {
			return out, faultOf("its list has too many pages")
		}
		var edits []mcpjson.Edit
		if cursor.Exists() || m.params.Get("cursor").Exists() {
			edits = []mcpjson.Edit{{Name: "params", Raw: m.params.With(mcpjson.Edit{Name: "cursor", Raw: cursor.Raw()})}}
		}
		answer, err := x.ask(ctx, m.fields, edits, &left, b)
		if err != nil {
			return out, err
		}
		if answer.fields.Get("error").Exists() {
			return listed{raw: answer.fields.With(mcpjson.Edit{Name: "id", Raw: m.id.Raw()}), status: answer.status, header: answer.header}, nil
		}
		result, next, err := g.page(answer.fields.Get("result"))
		if err != nil {
			return out, err
		}
		if page == 0 {
			firstMessage, first = answer.message, result
		}
		if !next.Exists() {
			break
		}
		if string(next.Raw()) == string(cursor.Raw()) {
			return out, faultOf("its list does not end")
		}
		cursor = next
		b.page()
	}
	result := first.With(append(private(first, x.modern),
		mcpjson.Edit{Name: l.Member, Raw: array(g.shown)}, mcpjson.Edit{Name: "nextCursor"})...)
	raw := firstMessage.fields.With(mcpjson.Edit{Name: "id", Raw: m.id.Raw()}, mcpjson.Edit{Name: "result", Raw: result})
	return listed{raw: raw, status: http.StatusOK}, nil
}

// gathering is a list while it is read.
type gathering struct {
	list  mcppolicy.List
	may   func(name string) bool
	shown [][]byte
	names map[string]bool // all that there are, in one case
}

// page notes the entries of a page. next is the cursor of the page after it.
func (g *gathering) page(v mcpjson.Value) (result mcpjson.Object, next mcpjson.Value, err error) {
	if result, err = v.Object(resultMembers...); err != nil {
		return result, next, faultOf("the result of its list: " + err.Error())
	}
	entries := result.Get(g.list.Member)
	if entries.Kind() != '[' {
		return result, next, faultOf("its list has no entries")
	}
	if err := g.entries(entries.Elements()); err != nil {
		return result, next, err
	}
	next = result.Get("nextCursor")
	switch {
	case next.Kind() == 'n' || string(next.Raw()) == `""`:
		return result, mcpjson.Value{}, nil
	case next.Exists() && next.Kind() != '"':
		return result, next, faultOf("its list has a cursor of another type")
	}
	return result, next, nil
}

func (g *gathering) entries(entries []mcpjson.Value) error {
	for _, e := range entries {
		name, err := nameOf(e, g.list)
		if err != nil {
			return err
		}
		one := name
		if g.list.Name == "name" {
			one = mcpjson.Fold(name) // URIs may differ in case
		}
		if g.names[one] {
			return faultOf("its list has two entries with one name")
		}
		g.names[one] = true
		if g.may(name) {
			g.shown = append(g.shown, e.Raw())
		}
	}
	return nil
}

func nameOf(e mcpjson.Value, l mcppolicy.List) (string, error) {
	fields, err := e.Object(entryMembers...)
	if err != nil {
		return "", faultOf("an entry of its list: " + err.Error())
	}
	name, err := text(fields.Get(l.Name))
	if err != nil {
		return "", faultOf("the name of an entry of its list: " + err.Error())
	}
	return name, nil
}

// private keeps shared caches from serving one key's answer to another.
func private(result mcpjson.Object, always bool) []mcpjson.Edit {
	if always || result.Get("cacheScope").Exists() {
		return []mcpjson.Edit{{Name: "cacheScope", Raw: []byte(`"private"`)}}
	}
	return nil
}

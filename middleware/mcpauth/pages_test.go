package mcpauth_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// toolNames pages through all tools: names by commas, pages by bars.
func toolNames(t *testing.T, session *mcp.ClientSession) string {
	t.Helper()
	var pages []string
	cursor := ""
	for range 100 {
		res, err := session.ListTools(t.Context(), &mcp.ListToolsParams{Cursor: cursor})
		if err != nil {
			t.Fatalf("ListTools: %v", err)
		}
		var names []string
		for _, tool := range res.Tools {
			names = append(names, tool.Name)
		}
		pages = append(pages, strings.Join(names, ","))
		if cursor = res.NextCursor; cursor == "" {
			break
		}
	}
	return strings.Join(pages, "|")
}

// Pages are as full as the server makes them, whatever is hidden between, and their cursors
// name nothing hidden.
func TestPagesAreRefilled(t *testing.T) {
	s := newSite(t, &mcp.ServerOptions{PageSize: 3})
	for i := range 20 {
		s.tool(fmt.Sprintf("get_%02d", i))
		s.tool(fmt.Sprintf("payroll_%02d", i))
		s.tool(fmt.Sprintf("aa_%02d", i)) // a whole first page, and more, is hidden
	}
	for _, version := range eras {
		for grants, want := range map[string]string{
			"tools:get_0*":  "get_00,get_01,get_02|get_03,get_04,get_05|get_06,get_07,get_08|get_09",
			"tools:get_00":  "get_00",
			"prompts:get_*": "",
		} {
			if got := toolNames(t, s.mustConnect(version, s.Granted(grants))); got != want {
				t.Errorf("%s in era %s: got pages %s, want %s", grants, version, got, want)
			}
		}
		_, body := s.send(version, s.Granted("tools:get_*"), message(version, "tools/list", "", `{}`))
		next := regexp.MustCompile(`"nextCursor":"([^"]*)"`).FindStringSubmatch(body)
		if next == nil || !strings.Contains(body, `"cacheScope":"private"`) {
			t.Fatalf("tools/list: got %s, want a next page and a private scope", body)
		}
		raw, err := base64.RawURLEncoding.DecodeString(next[1])
		if err != nil || strings.Contains(string(raw), "payroll") || strings.Contains(body, "payroll") {
			t.Errorf("cursor: got %q, %v, want nothing hidden in it", raw, err)
		}
	}
}

// Attack: a caller invents cursors, to go from hidden name to hidden name or to make the server
// mention them. All are refused with the SDK's own text: garbage, the SDK's cursor of an
// unguarded server, a cursor of this package that names what the key may not see.
func TestForgedCursors(t *testing.T) {
	s := newSite(t, &mcp.ServerOptions{PageSize: 1}, "add", "payroll", "sub")
	plain := mcp.NewServer(&mcp.Implementation{Name: "plain"}, &mcp.ServerOptions{PageSize: 1})
	for _, name := range []string{"payroll", "sub"} {
		plain.AddTool(&mcp.Tool{Name: name, InputSchema: json.RawMessage(`{"type":"object"}`)}, s.run)
	}
	unguarded := overMemory(t, plain)
	page, err := unguarded.ListTools(t.Context(), nil)
	if err != nil || page.NextCursor == "" {
		t.Fatalf("ListTools unguarded: got %v, %v", page, err)
	}
	_, wantErr := unguarded.ListTools(t.Context(), &mcp.ListToolsParams{Cursor: "garbage"})
	var want *jsonrpc.Error
	if !errors.As(wantErr, &want) {
		t.Fatalf("unguarded garbage: got %v, want a protocol error", wantErr)
	}

	encode := base64.RawURLEncoding.EncodeToString
	session := s.mustConnect(legacy, s.Granted("tools:add", "tools:sub"))
	for name, cursor := range map[string]string{
		"garbage":                   "garbage",
		"the SDK's":                 page.NextCursor,
		"ours, naming a hidden one": encode([]byte("mcpkeys:payroll")),
		"ours, naming nothing":      encode([]byte("mcpkeys:")),
		"ours, not canonical":       encode([]byte("mcpkeys:add")) + "=",
		"another mark":              encode([]byte("someone:add")),
	} {
		_, err := session.ListTools(t.Context(), &mcp.ListToolsParams{Cursor: cursor})
		var got *jsonrpc.Error
		if !errors.As(err, &got) || got.Code != want.Code || got.Message != want.Message {
			t.Errorf("%s: got %v, want %v", name, err, want)
		}
	}
	if got := toolNames(t, session); got != "add|sub" {
		t.Errorf("pages: got %s, want add|sub", got)
	}
}

func overMemory(t *testing.T, server *mcp.Server) *mcp.ClientSession {
	t.Helper()
	there, here := mcp.NewInMemoryTransports()
	if _, err := server.Connect(t.Context(), there, nil); err != nil {
		t.Fatal(err)
	}
	session, err := mcp.NewClient(&mcp.Implementation{Name: "client"}, nil).Connect(t.Context(), here, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = session.Close() })
	return session
}

// All four lists show exactly what may be used, and are never null.
func TestListsShowWhatMayBeUsed(t *testing.T) {
	for _, version := range eras {
		s := furnished(t, "payroll", "public")
		session := s.mustConnect(version, s.Granted(publicOnly...))
		nobody := s.mustConnect(version, s.Granted("reports:read"))
		ctx := t.Context()
		tools, err1 := session.ListTools(ctx, nil)
		prompts, err2 := session.ListPrompts(ctx, nil)
		resources, err3 := session.ListResources(ctx, nil)
		templates, err4 := session.ListResourceTemplates(ctx, nil)
		if err := errors.Join(err1, err2, err3, err4); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, x := range tools.Tools {
			got = append(got, x.Name)
		}
		for _, x := range prompts.Prompts {
			got = append(got, x.Name)
		}
		for _, x := range resources.Resources {
			got = append(got, x.URI)
		}
		for _, x := range templates.ResourceTemplates {
			got = append(got, x.URITemplate)
		}
		want := "public public doc://public doc://public/{page}"
		if strings.Join(got, " ") != want {
			t.Errorf("lists in era %s: got %v, want %s", version, got, want)
		}
		read, err := session.ReadResource(ctx, &mcp.ReadResourceParams{URI: "doc://public/3"})
		if err != nil {
			t.Fatalf("ReadResource: %v", err)
		}
		for _, scope := range []string{tools.CacheScope, prompts.CacheScope, resources.CacheScope, templates.CacheScope, read.CacheScope} {
			if scope != "private" {
				t.Errorf("cacheScope in era %s: got %q, want private", version, scope)
			}
		}
		if empty, err := nobody.ListTools(ctx, nil); err != nil || empty.Tools == nil || len(empty.Tools) != 0 {
			t.Errorf("ListTools with no tool granted: got %v, %v, want an empty list", empty, err)
		}
	}
}

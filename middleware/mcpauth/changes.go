package mcpauth

import (
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpkeys/mcpkeys/keys"
)

// lists are the lists whose changes a client wants to be told.
type lists struct{ tools, prompts, resources bool }

// offered is what a server's capabilities promise.
func offered(c *mcp.ServerCapabilities) lists {
	if c == nil {
		return lists{}
	}
	return lists{
		tools:     c.Tools != nil && c.Tools.ListChanged,
		prompts:   c.Prompts != nil && c.Prompts.ListChanged,
		resources: c.Resources != nil && c.Resources.ListChanged,
	}
}

// listener is a session, or a subscription without one, whose client is told when an edit of
// its key changes what lists show: otherwise it would keep the old ones.
type listener struct {
	session      *mcp.ServerSession
	speaks       func() caller // its current caller
	wants        lists
	subscription any // its id, nil in a session
	send         mcp.MethodHandler

	telling sync.Mutex     // held while the client is told
	shown   *keys.Identity // what the client was last told; guarded by telling

	mu     sync.Mutex
	over   bool
	cancel func()
}

// begin starts to watch. Changes since the key was admitted are told too.
func (l *listener) begin() {
	c := l.speaks()
	l.shown = c.identity
	cancel := c.by.guard.OnChange(c.admitted, func() { go l.tell() })
	l.mu.Lock()
	l.cancel = cancel
	over := l.over
	l.mu.Unlock()
	if over {
		cancel()
		return
	}
	go l.tell()
}

// end does not wait for a client that reads slowly.
func (l *listener) end() {
	l.mu.Lock()
	l.over = true
	cancel := l.cancel
	l.mu.Unlock()
	if cancel != nil {
		cancel()
	}
}

func (l *listener) ended() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.over
}

// tell sends what changed. A sending middleware of the server is foreign code and may panic.
func (l *listener) tell() {
	l.telling.Lock()
	defer l.telling.Unlock()
	if l.ended() {
		return
	}
	c := l.speaks()
	defer func() { c.logPanic(recover()) }()
	now, err := c.by.guard.RecheckFor(c.admitted)
	if err != nil {
		return // the end of the key also ends this
	}
	before := l.shown.Scopes()
	l.shown = now
	for _, list := range []struct {
		wanted bool
		name   string
		notify func(mcp.Meta)
	}{
		{l.wants.tools, "tools", func(m mcp.Meta) { notify(l, "notifications/tools/list_changed", &mcp.ToolListChangedParams{Meta: m}) }},
		{l.wants.prompts, "prompts", func(m mcp.Meta) {
			notify(l, "notifications/prompts/list_changed", &mcp.PromptListChangedParams{Meta: m})
		}},
		{l.wants.resources, "resources", func(m mcp.Meta) {
			notify(l, "notifications/resources/list_changed", &mcp.ResourceListChangedParams{Meta: m})
		}},
	} {
		if list.wanted && !slices.Equal(about(before, list.name), about(now.Scopes(), list.name)) {
			list.notify(l.meta())
		}
	}
}

// meta names the subscription that a notification belongs to.
func (l *listener) meta() mcp.Meta {
	if l.subscription == nil {
		return nil
	}
	return mcp.Meta{mcp.MetaKeySubscriptionID: l.subscription}
}

// notify is a function because methods have no type parameters. A client that is not connected
// gets nothing, and asks again when it returns.
func notify[P mcp.Params](l *listener, method string, params P) {
	_, _ = l.send(context.Background(), method, &mcp.ServerRequest[P]{Session: l.session, Params: params})
}

// about returns the scopes in granted that may apply to entries of the named list, sorted.
func about(granted []string, list string) []string {
	var found []string
	for _, scope := range granted {
		if first, _, _ := strings.Cut(scope, ":"); first == list || strings.Contains(first, "*") {
			found = append(found, scope)
		}
	}
	slices.Sort(found)
	return found
}

package mcpfront

import (
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/middleware"
)

// Lists are the lists whose changes a client wants to be told.
type Lists struct{ Tools, Prompts, Resources bool }

// Listener tells a client when an edit of its key changes what lists show: otherwise it would
// keep the old ones. Set all fields of the first group.
type Listener struct {
	Guard  *middleware.Guard
	Speaks func() context.Context // of its last request, as it was admitted
	Wants  Lists
	Notify func(list string)   // sends one notification; list is a first part of scopes
	Failed func(recovered any) // after a panic of Notify, and after none with nil

	telling sync.Mutex     // held while the client is told
	shown   *keys.Identity // what the client was last told; guarded by telling

	mu     sync.Mutex
	over   bool
	cancel func()
}

// Begin starts to watch. Changes since the key was admitted are told too.
func (l *Listener) Begin() {
	admitted := l.Speaks()
	l.shown, _ = keys.IdentityFrom(admitted)
	cancel := l.Guard.OnChange(admitted, func() { go l.tell() })
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

// End does not wait for a client that reads slowly.
func (l *Listener) End() {
	l.mu.Lock()
	l.over = true
	cancel := l.cancel
	l.mu.Unlock()
	if cancel != nil {
		cancel()
	}
}

func (l *Listener) ended() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.over
}

// tell sends what changed. Notify may call foreign code, which may panic.
func (l *Listener) tell() {
	l.telling.Lock()
	defer l.telling.Unlock()
	if l.ended() {
		return
	}
	defer func() { l.Failed(recover()) }()
	now, err := l.Guard.RecheckFor(l.Speaks())
	if err != nil {
		return // the end of the key also ends this
	}
	before := l.shown.Scopes()
	l.shown = now
	for _, list := range []struct {
		wanted bool
		name   string
	}{{l.Wants.Tools, "tools"}, {l.Wants.Prompts, "prompts"}, {l.Wants.Resources, "resources"}} {
		if list.wanted && !slices.Equal(about(before, list.name), about(now.Scopes(), list.name)) {
			l.Notify(list.name)
		}
	}
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

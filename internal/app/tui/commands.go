package tui

import (
	"context"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/audit"
	"github.com/mcpkeys/mcpkeys/keys/usage"
	"github.com/mcpkeys/mcpkeys/store"
)

// Every function here waits for the store, the clock or the terminal. A command runs beside the
// program and returns a message.

// patience is how long one request to the store may take.
const patience = 10 * time.Second

type (
	// tickMsg: another second has passed.
	tickMsg struct{}

	// pageMsg is a page of the list, of the reading with that round.
	pageMsg struct {
		round int
		page  keys.Page
		err   error
	}

	// keyMsg is one key, read with its seal, and its use of the last day; nil if that is not
	// known. key may be set beside an error.
	keyMsg struct {
		id    string
		key   *keys.Key
		usage *usage.Usage
		err   error
	}

	// issuedMsg holds a new secret. No other message holds one.
	issuedMsg struct {
		issued  admin.Issued
		rotated bool // the key had a secret before
		err     error

		everywhere time.Time // from when on the old secret has ended everywhere; zero if it has not
	}

	// changedMsg is the key after a dialog's change, the verb for the change, and from when on
	// it is in effect everywhere; zero if it took nothing away.
	changedMsg struct {
		key        *keys.Key
		said       string
		everywhere time.Time
		err        error
	}

	// auditMsg is a page of the audit log, of the reading with that round.
	auditMsg struct {
		round int
		first bool // the page with the newest rows
		page  audit.Page
		err   error
	}

	// permissionMsg says whether keys may be changed.
	permissionMsg struct {
		may bool
		err error
	}

	// rereadMsg is a key that another user changed while it was in the form.
	rereadMsg struct {
		key *keys.Key
		err error
	}
)

func tick() tea.Cmd {
	return tea.Tick(time.Second, func(time.Time) tea.Msg { return tickMsg{} })
}

// asking runs do beside the program, for at most patience.
func asking(do func(context.Context) tea.Msg) tea.Cmd {
	return func() tea.Msg {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		return do(ctx)
	}
}

func readPage(m admin.Manager, round int, cursor string) tea.Cmd {
	return asking(func(ctx context.Context) tea.Msg {
		page, err := m.List(ctx, keys.Query{Limit: keys.MaxLimit, Cursor: cursor})
		return pageMsg{round: round, page: page, err: err}
	})
}

func readKey(m admin.Manager, id string, since time.Time) tea.Cmd {
	return asking(func(ctx context.Context) tea.Msg {
		k, err := m.Key(ctx, id)
		msg := keyMsg{id: id, key: k, err: err}
		if u, err := m.Usage(ctx, id, since); err == nil {
			msg.usage = &u
		}
		return msg
	})
}

func auditPage(m admin.Manager, round int, q audit.Query) tea.Cmd {
	return asking(func(ctx context.Context) tea.Msg {
		page, err := m.Audit(ctx, q)
		return auditMsg{round: round, first: q.After == 0, page: page, err: err}
	})
}

func issue(m admin.Manager, req admin.IssueRequest) tea.Cmd {
	return asking(func(ctx context.Context) tea.Msg {
		issued, err := m.Issue(ctx, req)
		return issuedMsg{issued: issued, err: err}
	})
}

func mayChange(ask func(context.Context) (bool, error)) tea.Cmd {
	return asking(func(ctx context.Context) tea.Msg {
		may, err := ask(ctx)
		return permissionMsg{may: may, err: err}
	})
}

func rotateKey(m admin.Manager, id string, req admin.RotateRequest) tea.Cmd {
	return asking(func(ctx context.Context) tea.Msg {
		w := &store.Wait{}
		issued, err := m.Rotate(store.WithWait(ctx, w), id, req)
		return issuedMsg{issued: issued, rotated: true, everywhere: w.Everywhere, err: err}
	})
}

func finishRotation(m admin.Manager, id string, old int64) tea.Cmd {
	return change("finished the rotation of", func(ctx context.Context) (*keys.Key, error) {
		done, err := m.Rotate(ctx, id, admin.RotateRequest{Finish: old})
		return done.Key, err
	})
}

func revokeKey(m admin.Manager, id, reason string) tea.Cmd {
	return change("revoked", func(ctx context.Context) (*keys.Key, error) { return m.Revoke(ctx, id, reason) })
}

func disableKey(m admin.Manager, id, reason string) tea.Cmd {
	return change("disabled", func(ctx context.Context) (*keys.Key, error) { return m.Disable(ctx, id, reason) })
}

func enableKey(m admin.Manager, id string) tea.Cmd {
	return change("enabled", func(ctx context.Context) (*keys.Key, error) { return m.Enable(ctx, id) })
}

func editKey(m admin.Manager, id string, req admin.EditRequest) tea.Cmd {
	return change("changed", func(ctx context.Context) (*keys.Key, error) { return m.Edit(ctx, id, req) })
}

func rereadKey(m admin.Manager, id string) tea.Cmd {
	return asking(func(ctx context.Context) tea.Msg {
		k, err := m.Key(ctx, id)
		return rereadMsg{key: k, err: err}
	})
}

func change(said string, do func(context.Context) (*keys.Key, error)) tea.Cmd {
	return asking(func(ctx context.Context) tea.Msg {
		w := &store.Wait{}
		k, err := do(store.WithWait(ctx, w))
		return changedMsg{key: k, said: said, everywhere: w.Everywhere, err: err}
	})
}

// copyText sends text to the terminal's clipboard by OSC 52. A terminal that ignores it does
// not say so.
func copyText(text string) tea.Cmd { return tea.SetClipboard(text) }

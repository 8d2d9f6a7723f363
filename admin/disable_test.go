package admin_test

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"testing"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/audit"
)

func TestDisableEnable(t *testing.T) {
	l := newLife(t)
	issued := mustIssue(t, l, admin.IssueRequest{Name: "ci"})
	id := issued.Key.ID
	for range 2 { // the second time changes nothing
		if k, err := l.Disable(t.Context(), id, "odd calls"); err != nil || k.Status(noon) != keys.StatusDisabled || k.Version != 2 {
			t.Fatalf("Disable: got %+v, %v", k, err)
		}
	}
	if got := l.admit(issued.Token); got != keys.CodeDisabled {
		t.Errorf("a disabled key: got %s, want disabled", got)
	}
	for range 2 {
		if k, err := l.Enable(t.Context(), id); err != nil || k.Status(noon) != keys.StatusActive || k.Version != 3 {
			t.Fatalf("Enable: got %+v, %v", k, err)
		}
	}
	if got := l.admit(issued.Token); got != keys.CodeValid {
		t.Errorf("an enabled key: got %s, want valid", got)
	}
	log := events(t, l.store)
	if len(log) != 3 || log[1].Action != audit.ActionDisable || log[2].Action != audit.ActionEnable ||
		!strings.Contains(log[1].Detail, `"status":"disabled","reason":"odd calls"`) {
		t.Errorf("audit: got %+v", log)
	}
	var invalid *keys.InvalidError
	if _, err := l.Disable(t.Context(), id, "bad\nreason"); !errors.As(err, &invalid) || invalid.Field != "reason" {
		t.Errorf("Disable with a line break in its reason: got %v", err)
	}
}

// Finish also removes the old secret of a disabled key, so that it is not valid again when the
// key is enabled.
func TestFinishWhileDisabled(t *testing.T) {
	l := newLife(t)
	issued := mustIssue(t, l, admin.IssueRequest{Name: "ci"})
	l.mustRotate(issued.Key.ID, admin.RotateRequest{})
	if _, err := l.Disable(t.Context(), issued.Key.ID, ""); err != nil {
		t.Fatal(err)
	}
	l.mustRotate(issued.Key.ID, admin.RotateRequest{Finish: 1})
	if _, err := l.Enable(t.Context(), issued.Key.ID); err != nil {
		t.Fatal(err)
	}
	if got := l.admit(issued.Token); got != keys.CodeNotFound {
		t.Errorf("the old secret after finish and enable: got %s, want not_found", got)
	}
}

// TestRevokedIsFinal: nothing changes a revoked key.
func TestRevokedIsFinal(t *testing.T) {
	l := newLife(t)
	id := mustIssue(t, l, admin.IssueRequest{Name: "ci"}).Key.ID
	if _, err := l.Revoke(t.Context(), id, ""); err != nil {
		t.Fatal(err)
	}
	before := events(t, l.store)
	for name, verb := range verbs(t.Context(), l, id) {
		wantConflict(t, name+" of a revoked key", verb(), "issue a new key")
	}
	if n := len(events(t, l.store)); n != len(before) {
		t.Errorf("%d audit rows after refused changes, want %d", n, len(before))
	}
}

// TestA27EditedRowIsNotBuiltUpon: an attacker with a database shell adds scopes to a key, and
// waits for the administrator to rotate, edit, disable or enable it: the new seal would then
// confirm the edit. Every change except revoke refuses the row.
func TestA27EditedRowIsNotBuiltUpon(t *testing.T) {
	l := newLife(t)
	id := mustIssue(t, l, admin.IssueRequest{Name: "ci", Scopes: []string{"tools:a"}}).Key.ID
	db, err := sql.Open("sqlite3", l.path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if _, err := db.ExecContext(t.Context(), `UPDATE keys SET scopes = '["*"]'`); err != nil {
		t.Fatal(err)
	}
	root := asCaller(t, l, admin.IssueRequest{Name: "root"})
	before := len(events(t, l.store))
	for _, m := range []admin.Manager{l, root} {
		for name, verb := range verbs(t.Context(), m, id) {
			if err := verb(); !errors.Is(err, keys.ErrTampered) {
				t.Errorf("%s by %T: got %v, want ErrTampered", name, m, err)
			}
		}
	}
	if n := len(events(t, l.store)); n != before {
		t.Errorf("%d audit rows after refused changes, want %d", n, before)
	}
	if k, err := root.Revoke(t.Context(), id, ""); err != nil || k.RevokedAt.IsZero() {
		t.Errorf("Revoke: got %v, %v", k, err)
	}
}

// verbs are the changes of a key that is not revoked.
func verbs(ctx context.Context, m admin.Manager, id string) map[string]func() error {
	return map[string]func() error{
		"Rotate":  func() error { _, err := m.Rotate(ctx, id, admin.RotateRequest{}); return err },
		"Finish":  func() error { _, err := m.Rotate(ctx, id, admin.RotateRequest{Finish: 1}); return err },
		"Disable": func() error { _, err := m.Disable(ctx, id, ""); return err },
		"Enable":  func() error { _, err := m.Enable(ctx, id); return err },
		"Edit": func() error {
			_, err := m.Edit(ctx, id, admin.EditRequest{Scopes: &[]string{"tools:b"}})
			return err
		},
	}
}

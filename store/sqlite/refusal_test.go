package sqlite_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/audit"
)

// What the database itself refuses is told in a sentence with a way on, and without the
// text of its constraints.
func TestBrokenConstraintTellsNoSchema(t *testing.T) {
	path := create(t)
	s := open(t, path)
	k := issue(t, s, admin.IssueRequest{Name: "ci"}).Key
	_, err := s.Update(t.Context(), k.ID, func(k *keys.Key) (audit.Event, error) {
		k.Version = -5
		s.Peppers().Seal(k)
		return audit.NewEvent(t.Context(), "test", audit.ActionEdit, k.CreatedAt, nil)
	})
	if err == nil || strings.Contains(err.Error(), "constraint") || strings.Contains(err.Error(), "CHECK") || errors.Is(err, keys.ErrConflict) {
		t.Errorf("Update: got %v, want a refusal without a piece of the schema", err)
	}
	if err != nil && !strings.Contains(err.Error(), "keyctl doctor") {
		t.Errorf("Update: got %v, want a way on", err)
	}
}

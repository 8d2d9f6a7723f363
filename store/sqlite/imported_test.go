package sqlite_test

import (
	"testing"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/admin/importing"
	"github.com/mcpkeys/mcpkeys/keys"
)

// What doctor lists: what is still under another system's hash, and not what is ours,
// was known in the clear, or is revoked.
func TestOldHashes(t *testing.T) {
	s := open(t, create(t))
	issue(t, s, admin.IssueRequest{Name: "native"})
	m := manager(t, s)
	rows := []importing.Row{
		{Key: keys.NewSecret("acme_3ZJ9vYkQ0hW2mRbT7xLsN4"), IssueRequest: admin.IssueRequest{Name: "plain"}},
		{Key: keys.NewSecret("a.short-one"), IssueRequest: admin.IssueRequest{Name: "slow"}},
		{Key: keys.NewSecret("b.short-one"), IssueRequest: admin.IssueRequest{Name: "revoked"}},
	}
	report, err := importing.Import(t.Context(), m, func(yield func(importing.Row, error) bool) {
		for _, r := range rows {
			if !yield(r, nil) {
				return
			}
		}
	}, importing.Options{})
	if err != nil {
		t.Fatalf("Import: %v %v", err, report.Reasons)
	}
	byName := map[string]string{}
	page, err := s.List(t.Context(), keys.Query{})
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range page.Keys {
		byName[k.Name] = k.ID
	}
	if _, err := m.Revoke(t.Context(), byName["revoked"], ""); err != nil {
		t.Fatal(err)
	}
	list, total, err := s.OldHashes(t.Context(), 10)
	if err != nil || total != 1 || len(list) != 1 || list[0].KeyID != byName["slow"] || list[0].Scheme != keys.SchemeArgon2id || list[0].Number != 1 {
		t.Errorf("OldHashes: got %+v, %d, %v, want the slow one", list, total, err)
	}
	if list, total, err := s.OldHashes(t.Context(), 0); err != nil || total != 1 || list != nil {
		t.Errorf("OldHashes of none: got %+v, %d, %v, want the number alone", list, total, err)
	}
}

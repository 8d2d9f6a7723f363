package client_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/internal/dev/servertest"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/audit"
)

// Through the API the log reads the same as beside the store, row by row and page by page.
func TestAuditThroughTheAPI(t *testing.T) {
	f := servertest.New(t)
	c := mustClient(t, f.URL, f.Admin(keys.ScopeAuditRead))
	local, err := admin.NewLocal(f.Store, "test", nil)
	if err != nil {
		t.Fatal(err)
	}
	token, id := f.Issue(admin.IssueRequest{Name: "ci", Metadata: map[string]string{"note": `<"quoted"> & \ ünï`}})
	f.Revoke(id)
	now := time.Now()
	for name, q := range map[string]audit.Query{
		"all": {}, "key": {KeyID: id}, "actor": {Actor: "test"}, "action": {Action: audit.ActionRevoke},
		"page": {Limit: 2}, "behind": {After: 2}, "oldest": {OldestFirst: true, After: 1}, "much": {Limit: 1 << 30},
		"since": {Since: now.Add(-time.Hour)}, "later": {Since: now.Add(time.Hour)}, "until": {Until: now.Add(time.Hour), Limit: 1},
		"no id": {KeyID: "ci"}, "a secret": {Actor: token}, "no action": {Action: "Revoke"}, "short action": {Action: "revoke"},
	} {
		want, err := local.Audit(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		got, err := c.Audit(t.Context(), q)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("Audit(%s): %v (-beside the store +through the API):\n%s", name, err, diff)
		}
	}
}

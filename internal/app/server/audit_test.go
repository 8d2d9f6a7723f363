package server_test

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"

	_ "github.com/mattn/go-sqlite3"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/admin/api"
	"github.com/mcpkeys/mcpkeys/internal/dev/servertest"
	"github.com/mcpkeys/mcpkeys/keys"
)

// The log says who did what to which key in which request, and filters find it.
func TestAudit(t *testing.T) {
	f := servertest.New(t)
	adminKey, adminID := f.Issue(admin.IssueRequest{Kind: keys.KindAdmin, Name: "me"}) // row 1
	_, id := f.Issue(admin.IssueRequest{Name: "ci"})                                   // row 2
	r := f.Request("POST", "/v1/keys/"+id+"/disable", adminKey, `{"reason":"odd <calls>"}`)
	r.Header.Set("X-Request-Id", "ticket-4711")
	f.Do(r)                                 // row 3
	f.Revoke(id)                            // row 4
	auditor := f.Admin(keys.ScopeAuditRead) // row 5

	read := func(query string) (page api.AuditPage) {
		t.Helper()
		a := f.Send("GET", "/v1/audit"+query, auditor, "")
		if a.Status != 200 {
			t.Fatalf("GET /v1/audit%s: got %d %s", query, a.Status, a.Body)
		}
		a.Read(t, &page)
		return page
	}
	for query, want := range map[string]string{
		"": "5 4 3 2 1", "?order=oldest": "1 2 3 4 5", "?order=newest": "5 4 3 2 1",
		"?key_id=" + id: "4 3 2", "?key_id=000000000000": "",
		"?actor=key:" + adminID: "3", "?actor=test": "5 4 2 1", "?actor=tes": "",
		"?action=key.revoke": "4", "?action=revoke": "4", "?action=key.finish": "",
		"?since=1h": "5 4 3 2 1", "?since=2020-01-31": "5 4 3 2 1", "?since=2090-01-31T00:00:00Z": "",
		"?until=2020-01-31T00:00:00Z": "", "?key_id=" + id + "&action=disable": "3",
		"?cursor=3": "2 1", "?cursor=3&order=oldest": "4 5", "?cursor=": "5 4 3 2 1", "?limit=2": "5 4",
	} {
		var got []string
		for _, e := range read(query).Data {
			got = append(got, strconv.FormatInt(e.Seq, 10))
		}
		if strings.Join(got, " ") != want {
			t.Errorf("GET /v1/audit%s: got rows %v, want %s", query, got, want)
		}
	}
	if a := f.Send("GET", "/v1/audit?key_id=000000000000", auditor, ""); !strings.Contains(a.Body, `"data":[]`) {
		t.Errorf("no rows: got %s, want an empty list", a.Body)
	}
	first := read("?limit=2")
	if second := read("?limit=2&cursor=" + first.NextCursor); len(second.Data) != 2 || second.Data[0].Seq != 3 || read("?limit=5").NextCursor != "" {
		t.Errorf("paging: got %+v after %q", second, first.NextCursor)
	}

	e := read("?action=disable").Data[0]
	var detail struct {
		Before, After struct{ Status, Reason string }
	}
	if err := json.Unmarshal(e.Detail, &detail); err != nil {
		t.Fatalf("detail %s: %v", e.Detail, err)
	}
	if e.RequestID != "ticket-4711" || e.KeyID != id || detail.Before.Status != "active" || detail.After.Status != "disabled" || detail.After.Reason != "odd <calls>" {
		t.Errorf("GET /v1/audit: got %+v %+v", e, detail)
	}
	if prev := read("?cursor=3").Data[0]; e.Prev != prev.Hash || len(e.Hash) != 64 {
		t.Errorf("the chain is not shown: %s follows %s", e.Prev, prev.Hash)
	}
}

func TestAuditRefusesBadFilters(t *testing.T) {
	f := servertest.New(t)
	auditor := f.Admin(keys.ScopeAuditRead)
	token, _ := f.Issue(admin.IssueRequest{})
	for query, field := range map[string]string{
		"?key_id=": "key_id", "?key_id=ci": "key_id", "?actor=": "actor", "?actor=" + token: "actor", "?key_id=" + token: "key_id",
		"?action=": "action", "?action=key.nothing": "action", "?action=" + token: "action", "?action=DROP%20TABLE": "action", "?since=yesterday": "since", "?until=1h": "until",
		"?order=random": "order", "?limit=0": "limit", "?cursor=0": "cursor", "?cursor=-1": "cursor", "?cursor=%2B1": "cursor",
		"?cursor=99999999999999999999": "cursor", "?cursor=0x1": "cursor", "?q=x": "query", "?after=1": "query",
	} {
		a := f.Send("GET", "/v1/audit"+query, auditor, "")
		if a.Status != 422 || a.Problem(t).Errors[0].Field != field || strings.Contains(a.Body, token) {
			t.Errorf("GET /v1/audit%.20s: got %d %s, want 422 of %s", query, a.Status, a.Body, field)
		}
	}
}

// A row whose detail was damaged and is not JSON is shown with null, and the page does not
// fail.
func TestDamagedDetailIsShownAsNull(t *testing.T) {
	f := servertest.New(t)
	auditor := f.Admin(keys.ScopeAuditRead)
	db, err := sql.Open("sqlite3", f.Path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	db.SetMaxOpenConns(1)
	for _, statement := range []string{`PRAGMA ignore_check_constraints = ON`, `UPDATE audit SET detail = '{"x":', id = x'00'`} {
		if _, err := db.Exec(statement); err != nil {
			t.Fatal(err)
		}
	}
	a := f.Send("GET", "/v1/audit", auditor, "")
	if want := fmt.Sprintf(`"detail":%s`, "null"); a.Status != 200 || !strings.Contains(a.Body, want) {
		t.Errorf("GET /v1/audit: got %d %s, want %s", a.Status, a.Body, want)
	}
}

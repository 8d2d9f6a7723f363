package main

import (
	"bufio"
	"context"
	"database/sql"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/internal/dev/servertest"
	"github.com/mcpkeys/mcpkeys/keys"
)

// following runs keyctl audit -f in e until stop is called, which returns its exit code.
func following(t *testing.T, e *env, args ...string) (lines *bufio.Scanner, stop func() int) {
	t.Helper()
	r, w := io.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	own := *e
	own.stdout = w
	code := make(chan int, 1)
	go func() {
		code <- run(ctx, append([]string{"audit", "-f"}, args...), &own)
		_ = w.Close()
	}()
	stop = func() int {
		cancel()
		go func() { _, _ = io.Copy(io.Discard, r) }()
		return <-code
	}
	return bufio.NewScanner(r), stop
}

func wantLine(t *testing.T, lines *bufio.Scanner, want string) {
	t.Helper()
	if !lines.Scan() || !strings.Contains(lines.Text(), want) {
		t.Fatalf("audit -f: got %q, %v, want a line with %q", lines.Text(), lines.Err(), want)
	}
}

// The latest rows come first, then each new one. After Ctrl-C the exit code is 0.
func TestAuditFollows(t *testing.T) {
	e, _, _ := testEnv(t)
	for _, name := range []string{"a", "b", "c"} {
		mustRun(t, e, "issue", name)
	}
	lines, stop := following(t, e, "-n", "2", "-o", "jsonl")
	wantLine(t, lines, `"name":"b"`)
	wantLine(t, lines, `"name":"c"`)
	mustRun(t, e, "issue", "d")
	mustRun(t, e, "revoke", "d", "--yes")
	wantLine(t, lines, `"name":"d"`)
	wantLine(t, lines, `"action":"key.revoke"`)
	mustRun(t, e, "issue", "f")
	wantLine(t, lines, `"name":"f"`)
	if got := stop(); got != 0 {
		t.Errorf("audit -f after Ctrl-C: got exit code %d, want 0", got)
	}
}

func TestAuditFollowsAsTable(t *testing.T) {
	e, _, _ := testEnv(t)
	getenv := e.getenv
	e.getenv = func(name string) string {
		if name == "COLUMNS" { // a pipe has no width
			return strconv.Itoa(defaultWidth)
		}
		return getenv(name)
	}
	lines, stop := following(t, e, "--action", "revoke")
	wantLine(t, lines, "WHAT CHANGED")
	mustRun(t, e, "issue", strings.Repeat("long", 20))
	mustRun(t, e, "revoke", strings.Repeat("long", 20), "--yes")
	wantLine(t, lines, "  revoke   longlong")
	if n := cells(lines.Text()); n > defaultWidth {
		t.Errorf("audit -f: got a line of %d columns", n)
	}
	if got := stop(); got != 0 {
		t.Errorf("audit -f after Ctrl-C: got exit code %d, want 0", got)
	}
}

func TestAuditFollowsThroughServer(t *testing.T) {
	f := servertest.New(t)
	adminKey := filepath.Join(t.TempDir(), "admin.key")
	if err := os.WriteFile(adminKey, []byte(f.Admin(keys.ScopeAuditRead)), 0o600); err != nil {
		t.Fatal(err)
	}
	e, _, _ := testEnv(t)
	e.getenv = func(name string) string {
		return map[string]string{"KEYCTL_SERVER": f.URL, "KEYCTL_ADMIN_KEY_FILE": adminKey}[name]
	}
	lines, stop := following(t, e, "-o", "csv")
	wantLine(t, lines, "seq,at,action")
	wantLine(t, lines, ",key.issue,")
	f.Issue(admin.IssueRequest{Name: "new"})
	wantLine(t, lines, ",new,")
	if got := stop(); got != 0 {
		t.Errorf("audit -f after Ctrl-C: got exit code %d, want 0", got)
	}
}

// A27: if the last rows are removed while audit -f runs, it ends with an error.
func TestA27FollowNoticesACutTail(t *testing.T) {
	e, _, stderr := testEnv(t)
	mustRun(t, e, "issue", "a")
	mustRun(t, e, "issue", "b")
	lines, stop := following(t, e, "-o", "jsonl")
	wantLine(t, lines, `"seq":1`)
	wantLine(t, lines, `"seq":2`)
	cutAudit(t, e, "DELETE FROM audit WHERE seq = 2")
	if lines.Scan() {
		t.Errorf("audit -f: got %q, want an end", lines.Text())
	}
	if got := stop(); got != exitStore || !strings.Contains(stderr.String(), "ends with row 1, but had row 2 before") {
		t.Errorf("audit -f of a cut log: got exit code %d and %q", got, stderr)
	}
}

// cutAudit changes the log as an attacker with a database shell would.
func cutAudit(t *testing.T, e *env, statement string) {
	t.Helper()
	db, err := sql.Open("sqlite3", e.getenv("KEYCTL_DB"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if _, err := db.Exec(statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

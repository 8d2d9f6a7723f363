package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/internal/app/connect"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/audit"
)

// shortStore has pages of two, and fails after some of them.
type shortStore struct {
	admin.Manager
	pages *int
}

var errLost = fmt.Errorf("%w: the disk is gone", keys.ErrUnavailable)

func (s shortStore) List(ctx context.Context, q keys.Query) (keys.Page, error) {
	if *s.pages--; *s.pages < 0 {
		return keys.Page{}, errLost
	}
	q.Limit = 2
	return s.Manager.List(ctx, q)
}

func (s shortStore) Audit(ctx context.Context, q audit.Query) (audit.Page, error) {
	if *s.pages--; *s.pages < 0 {
		return audit.Page{}, errLost
	}
	q.Limit = 2
	return s.Manager.Audit(ctx, q)
}

// Where reading fails in the middle, the lines before that are there, and the error says that
// they are not all. A file of an export is removed.
func TestFailureInTheMiddleIsTold(t *testing.T) {
	e, stdout, stderr := testEnv(t)
	for i := range 5 {
		mustRun(t, e, "issue", fmt.Sprint("key-", i))
	}
	file := filepath.Join(t.TempDir(), "out.jsonl")
	list := func(a *app, m admin.Manager) error { return a.list(t.Context(), m, keys.Query{}, &listFlags{}) }
	auditing := func(a *app, m admin.Manager) error { return a.audit(t.Context(), m, audit.Query{}, &auditFlags{}) }
	export := func(path string) func(a *app, m admin.Manager) error {
		return func(a *app, m admin.Manager) error { return a.exportOf(t.Context(), m, &exportFlags{outFile: path}) }
	}
	for _, c := range []struct {
		what   string
		output format
		pages  int
		run    func(*app, admin.Manager) error
		lines  int
		want   string
	}{
		{"list", formatJSONL, 2, list, 4, "the output is incomplete, it ends after 4 keys: "},
		{"list", formatCSV, 1, list, 3, "the output is incomplete, it ends after 2 keys: "},
		{"list", formatName, 2, list, 4, "the output is incomplete, it ends after 4 keys: "},
		{"list, table", formatTable, 2, list, 0, "keyctl: the disk"},
		{"list, nothing", formatJSONL, 0, list, 0, "keyctl: the disk"},
		{"export", formatJSONL, 2, export(""), 4, "the output is incomplete, it ends after 4 keys: "},
		{"export to a file", formatJSONL, 2, export(file), 0, "keyctl: the disk"},
		{"audit", formatJSONL, 2, auditing, 4, "the output is incomplete, it ends after 4 rows: "},
	} {
		stdout.Reset()
		stderr.Reset()
		a := &app{env: e, output: c.output}
		err := a.withAdmin(t.Context(), func(m *connect.Admin) error { return c.run(a, shortStore{m, &c.pages}) })
		if got := a.report(err, false); got != exitStore || !errors.Is(err, errLost) {
			t.Errorf("%s: got exit code %d, %v, want %d", c.what, got, err, exitStore)
		}
		if got := strings.Count(stdout.String(), "\n"); got != c.lines || !strings.Contains(stderr.String(), strings.TrimPrefix(c.want, "keyctl: ")) || strings.Contains(stderr.String(), "incomplete") != strings.Contains(c.want, "incomplete") {
			t.Errorf("%s -o %s: got %d lines and %q, want %d and %q", c.what, c.output, got, stderr, c.lines, c.want)
		}
	}
	if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file of an export that failed: got %v, want it removed", err)
	}
}

// crowdedStore has any number of keys.
type crowdedStore struct {
	admin.Manager
	all int
}

func (s crowdedStore) List(_ context.Context, q keys.Query) (page keys.Page, err error) {
	from := 0
	if q.Cursor != "" {
		if _, err := fmt.Sscan(q.Cursor, &from); err != nil {
			return page, err
		}
	}
	to := min(s.all, from+q.Limit)
	for i := from; i < to; i++ {
		k := &keys.Key{ID: fmt.Sprintf("%012d", i), Name: fmt.Sprint("key-", i), Kind: keys.KindKey}
		page.Keys, page.Tampered = append(page.Keys, k), append(page.Tampered, k.ID)
	}
	if to < s.all {
		page.Next = fmt.Sprint(to)
	}
	return page, nil
}

// A table is in memory as a whole, so it ends somewhere and says how to continue. So does the
// list of keys that were changed outside mcpkeys. Each other format has all keys.
func TestTableIsBounded(t *testing.T) {
	e, stdout, stderr := testEnv(t)
	run := func(output format, f *listFlags, all int) (lines int) {
		t.Helper()
		stdout.Reset()
		stderr.Reset()
		a := &app{env: e, output: output}
		if err := a.list(t.Context(), crowdedStore{all: all}, keys.Query{}, f); err != nil {
			t.Fatal(err)
		}
		return strings.Count(stdout.String(), "\n")
	}
	if got, want := run(formatTable, &listFlags{}, tableShown+1), tableShown+1; got != want {
		t.Errorf("table: got %d lines, want %d with the heading", got, want)
	}
	for _, want := range []string{"more: the table ends after 10000 keys; use -o jsonl for all keys, or --cursor 10000 to continue\n", " and 9900 more\n"} {
		if !strings.Contains(stderr.String(), want) {
			t.Errorf("table: no %q in %.200q…", want, stderr)
		}
	}
	if stderr.Len() > 5000 {
		t.Errorf("table: %d bytes about keys that were changed, want a bounded list", stderr.Len())
	}
	if got, want := run(formatTable, &listFlags{limit: tableShown + 50}, tableShown+100), tableShown+51; got != want {
		t.Errorf("table with a limit: got %d lines, want %d with the heading", got, want)
	}
	if got := run(formatTable, &listFlags{}, tableShown); got != tableShown+1 || strings.Contains(stderr.String(), "more:") {
		t.Errorf("table of exactly as many: got %d lines and %.100q, want no more", got, stderr)
	}
	for output, want := range map[format]int{formatJSONL: 2500, formatCSV: 2501, formatName: 2500} {
		if got := run(output, &listFlags{}, 2500); got != want {
			t.Errorf("%s: got %d lines, want %d", output, got, want)
		}
	}
	run(formatJSON, &listFlags{}, 2500)
	var list []json.RawMessage
	if err := json.Unmarshal(stdout.Bytes(), &list); err != nil || len(list) != 2500 {
		t.Errorf("json: got %d values, %v, want 2500", len(list), err)
	}
	var indented bytes.Buffer
	if err := json.Indent(&indented, stdout.Bytes(), "", "  "); err != nil || indented.String() != stdout.String() {
		t.Errorf("json: it is not indented as a whole: %v", err)
	}
	if run(formatJSON, &listFlags{}, 0); stdout.String() != "[]\n" {
		t.Errorf("json of nothing: got %q", stdout)
	}
}

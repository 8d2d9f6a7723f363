package keyfile_test

import (
	"bytes"
	"errors"
	"io"
	"net/netip"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/admin/importing"
	"github.com/mcpkeys/mcpkeys/internal/app/keyfile"
	"github.com/mcpkeys/mcpkeys/keys"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func read(r io.Reader, format keyfile.Format) (rows []importing.Row, err error) {
	for row, err := range keyfile.Read(r, format) {
		if err != nil {
			return rows, err
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// Read returns what Write wrote, also for cells that a spreadsheet would run and cells that
// look escaped.
func TestRoundTrip(t *testing.T) {
	var want []*keys.Key
	for _, name := range []string{"plain", "=1+1", "+1", "-1", "@x", "'=1", "'", "''", "a,b", `a"b`, "a'b", "日本"} {
		want = append(want, &keys.Key{
			ID: "AbCdEfGhIjKl", Kind: keys.KindKey, Name: name, Owner: name, Scopes: []string{"-x", "tools:*"}, Audience: []string{"@a", "b"},
			AllowedIPs: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, RateLimit: keys.RateLimit{Count: 60, Window: time.Minute, Burst: 60},
			Metadata: map[string]string{"imported_id": name, "=a": "=b"}, CreatedAt: noon, ExpiresAt: noon.Add(time.Hour),
		})
	}
	want = append(want, &keys.Key{Kind: keys.KindKey, Name: "bare", CreatedAt: noon})
	for _, format := range []keyfile.Format{keyfile.JSONL, keyfile.CSV} {
		var file bytes.Buffer
		w := keyfile.NewWriter(&file, format)
		for _, k := range want {
			row := keyfile.NewRow(k, noon)
			if err := w.Write(&row); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		text := file.String()
		got, err := read(&file, format)
		if err != nil || len(got) != len(want) {
			t.Fatalf("%s: got %d rows, %v, want %d\n%s", format, len(got), err, len(want), text)
		}
		for i, k := range want {
			r := got[i]
			var req admin.IssueRequest
			req.Kind, req.Name, req.Owner, req.Scopes, req.Audience = k.Kind, k.Name, k.Owner, k.Scopes, k.Audience
			req.AllowedIPs, req.RateLimit, req.Metadata, req.Expires = k.AllowedIPs, k.RateLimit, k.Metadata, keys.NeverExpires()
			if !k.ExpiresAt.IsZero() {
				req.Expires = keys.ExpiresAt(k.ExpiresAt)
			}
			same := cmp.Comparer(func(a, b keys.Expiry) bool { return a.String() == b.String() })
			ips := cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })
			if d := cmp.Diff(req, r.IssueRequest, same, ips, cmpopts.EquateEmpty()); d != "" || r.Flaw != nil || r.ID != k.ImportedID() {
				t.Errorf("%s, %q: %v (-want +got)\n%s", format, k.Name, r.Flaw, d)
			}
		}
		if format == keyfile.CSV && strings.Contains(text, "\n=") || strings.Contains(text, ",=") || strings.Contains(text, ",@") {
			t.Errorf("CSV that a spreadsheet runs:\n%s", text)
		}
	}
}

// Each bad line is one refused row, and the rows after it are read.
func TestBadLines(t *testing.T) {
	long := `{"name":"` + strings.Repeat("x", 70_000) + `"}`
	const secret = "s3kr1t"
	file := strings.Join([]string{
		`{"name":"first"}`, `{"name":"` + secret, `["` + secret + `"]`, `{"name":["` + secret + `"]}`, `{"metadata":{"a":1}}`, `{"` + secret + `":1}`,
		`{"name":"a"} {"name":"b"}`, `{"hash":"` + secret + `"}`, `{"rate_limit":"` + secret + `"}`, `{"expires_at":"` + secret + `"}`,
		`{"allowed_ips":["` + secret + `"]}`, `{"kind":"` + secret + `"}`, `{"status":"revoked"}`, long, "\x00", `{"name":"last","key":"` + secret + `"}`,
	}, "\n")
	rows, err := read(strings.NewReader("\ufeff"+file), keyfile.JSONL)
	if err != nil || len(rows) != 16 {
		t.Fatalf("Read: got %d rows, %v, want 16", len(rows), err)
	}
	for i, r := range rows {
		good := i == 0 || i == len(rows)-1
		if r.Line != i+1 || good != (r.Flaw == nil) {
			t.Errorf("row %d: got line %d, %v", i+1, r.Line, r.Flaw)
		}
		if r.Flaw != nil && strings.Contains(r.Flaw.Error(), secret) {
			t.Errorf("row %d: the flaw repeats the secret: %v", i+1, r.Flaw)
		}
	}
}

// A quote that is never closed must not make the whole file one row.
func TestEndlessRow(t *testing.T) {
	for name, file := range map[string]io.Reader{
		"CSV":  io.MultiReader(strings.NewReader("name,key\n\"a"), endless{}),
		"head": io.MultiReader(strings.NewReader("\"name"), endless{}),
	} {
		if _, err := read(file, keyfile.CSV); err == nil {
			t.Errorf("%s: got no error", name)
		}
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = "x\n"[i%2]
	}
	return len(p), nil
}

func TestReadErrors(t *testing.T) {
	broken := errors.New("the disk is gone")
	for _, format := range []keyfile.Format{keyfile.JSONL, keyfile.CSV} {
		file := io.MultiReader(strings.NewReader("name,key\n"), iotest.ErrReader(broken))
		if _, err := read(file, format); !errors.Is(err, broken) {
			t.Errorf("%s: got %v, want the error of the reader", format, err)
		}
	}
	for _, head := range []string{"", "name\n", "key,hash\n", "name,name,key\n", "name,key,color\n", "\"\n"} {
		_, err := read(strings.NewReader(head), keyfile.CSV)
		var invalid *keys.InvalidError
		if !errors.As(err, &invalid) || invalid.Field != "line 1" {
			t.Errorf("header %q: got %v, want an InvalidError about line 1", head, err)
		}
	}
}

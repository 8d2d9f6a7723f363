package connect_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/internal/app/connect"
	"github.com/mcpkeys/mcpkeys/internal/dev/servertest"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
	"github.com/mcpkeys/mcpkeys/verifier"
)

func TestWithEnv(t *testing.T) {
	for _, tc := range []struct {
		name string
		in   connect.Settings
		env  map[string]string
		want connect.Settings
	}{
		{
			name: "nothing said",
			want: connect.Settings{DB: "mcpkeys.db", PepperFile: "mcpkeys.db.pepper"},
		},
		{
			name: "the pepper follows the database",
			in:   connect.Settings{DB: "a.db"},
			want: connect.Settings{DB: "a.db", PepperFile: "a.db.pepper"},
		},
		{
			name: "the environment",
			env:  map[string]string{"KEYCTL_DB": "e.db", "KEYCTL_PEPPER_FILE": "e.pepper", "KEYCTL_SERVER": "https://e"},
			want: connect.Settings{DB: "e.db", PepperFile: "e.pepper", Server: "https://e"},
		},
		{
			name: "a server needs no database",
			env:  map[string]string{"KEYCTL_SERVER": "https://e", "KEYCTL_ADMIN_KEY_FILE": "e.key"},
			want: connect.Settings{PepperFile: ".pepper", Server: "https://e", AdminKeyFile: "e.key"},
		},
		{
			name: "flags go first",
			in:   connect.Settings{DB: "f.db", PepperFile: "f.pepper"},
			env:  map[string]string{"KEYCTL_DB": "e.db", "KEYCTL_PEPPER_FILE": "e.pepper"},
			want: connect.Settings{DB: "f.db", PepperFile: "f.pepper"},
		},
		{
			name: "empty is unset",
			env:  map[string]string{"KEYCTL_DB": "", "KEYCTL_SERVER": ""},
			want: connect.Settings{DB: "mcpkeys.db", PepperFile: "mcpkeys.db.pepper"},
		},
	} {
		got := tc.in.WithEnv(func(name string) string { return tc.env[name] })
		if diff := cmp.Diff(tc.want, got, cmpopts.IgnoreFields(connect.Settings{}, "AdminKey")); diff != "" {
			t.Errorf("%s: WithEnv (-want +got):\n%s", tc.name, diff)
		}
	}
}

// If a server and a database are named, every function refuses both.
func TestServerAndDatabaseAreRefused(t *testing.T) {
	s := connect.Settings{DB: filepath.Join(t.TempDir(), "keys.db"), Server: "https://keys.internal", AdminKey: keys.NewSecret("x")}
	_, adminErr := s.Admin(t.Context())
	_, checkerErr := s.Checker(t.Context())
	onlyServer := connect.Settings{Server: s.Server, AdminKey: s.AdminKey}
	_, noKeyErr := connect.Settings{Server: s.Server}.Admin(t.Context())
	for way, err := range map[string]error{
		"Create": s.Create(), "Admin": adminErr, "Checker": checkerErr,
		"Create with a server": onlyServer.Create(), "Local": onlyServer.Local(), "Admin without a key": noKeyErr,
	} {
		var invalid *keys.InvalidError
		if !errors.As(err, &invalid) {
			t.Errorf("%s: got %v, want an InvalidError", way, err)
		}
	}
	if _, err := os.Stat(s.DB); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a key store was made: %v", err)
	}
}

// The admin key is read from a file exactly, and no error repeats the content of the file.
func TestAdminKeyFile(t *testing.T) {
	f := servertest.New(t)
	adminKey := f.Admin()
	ordinary, _ := f.Issue(admin.IssueRequest{})
	path := filepath.Join(t.TempDir(), "admin.key")
	for _, tc := range []struct {
		name, content string
		ok            bool
	}{
		{"as issue writes it", adminKey + "\n", true},
		{"from Windows", adminKey + "\r\n", true},
		{"without a line end", adminKey, true},
		{"with a space", " " + adminKey, false},
		{"two lines", adminKey + "\n" + adminKey + "\n", false},
		{"empty", "", false},
		{"an ordinary key", ordinary, false},
		{"something long", strings.Repeat("x", 5000), false},
	} {
		if err := os.WriteFile(path, []byte(tc.content), 0o600); err != nil {
			t.Fatal(err)
		}
		// If there is a file, the variable is not used.
		s := connect.Settings{Server: f.URL, AdminKeyFile: path, AdminKey: keys.NewSecret("mcpa_other")}
		m, err := s.Admin(t.Context())
		if err == nil {
			_, err = m.List(t.Context(), keys.Query{})
			_ = m.Close()
		}
		if tc.ok != (err == nil) {
			t.Errorf("%s: got %v, want ok %v", tc.name, err, tc.ok)
		}
		if err != nil && (keys.HoldsToken(err.Error()) || strings.Contains(err.Error(), "xxx")) {
			t.Errorf("%s: the error repeats what was in the file: %v", tc.name, err)
		}
	}
	if _, err := (connect.Settings{Server: f.URL, AdminKeyFile: path + "x"}).Admin(t.Context()); err == nil {
		t.Error("no such file: got no error")
	}
	s := connect.Settings{Server: f.URL}.WithEnv(func(name string) string {
		return map[string]string{"KEYCTL_ADMIN_KEY": adminKey}[name]
	})
	checker, err := s.Checker(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = checker.Close() }()
	for token, want := range map[string]keys.Code{
		ordinary: keys.CodeValid, adminKey: keys.CodeWrongKind, "": keys.CodeNoCredential, "some other secret": keys.CodeMalformed, "an-imported-secret-0123456789abcdefXYZ": keys.CodeMalformed,
		keys.NewToken(keys.KindKey).Secret().Reveal(): keys.CodeNotFound,
	} {
		if got := checker.Check(t.Context(), token, verifier.Call{}); got.Code != want || got.Valid() != (want == keys.CodeValid) {
			t.Errorf("Check through a server: got %s, want %s", got.Code, want)
		}
	}
}

func TestNoStoreIsMadeUnasked(t *testing.T) {
	s := connect.Settings{DB: filepath.Join(t.TempDir(), "keys.db")}
	if _, err := s.Admin(t.Context()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Admin: got %v, want fs.ErrNotExist", err)
	}
	if _, err := s.Checker(t.Context()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Checker: got %v, want fs.ErrNotExist", err)
	}
}

// A Checker accepts a key that an Admin issued, and CreatedBy names the user.
func TestIssueAndCheck(t *testing.T) {
	s := connect.Settings{DB: filepath.Join(t.TempDir(), "keys.db")}
	if err := s.Create(); err != nil {
		t.Fatal(err)
	}
	adminKey, err := s.Admin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	issued, err := adminKey.Issue(t.Context(), admin.IssueRequest{Name: "ci", Scopes: []string{"tools:get_*"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := adminKey.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	if uid := fmt.Sprint(os.Getuid()); !strings.HasPrefix(issued.Key.CreatedBy, "local:") || !strings.Contains(issued.Key.CreatedBy, uid) {
		t.Errorf("CreatedBy: got %q, want local: and the user's number %s", issued.Key.CreatedBy, uid)
	}

	checker, err := s.Checker(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for scope, want := range map[string]keys.Code{"tools:get_x": keys.CodeValid, "tools:set_x": keys.CodeInsufficientScope} {
		if got := checker.Check(t.Context(), issued.Token.Reveal(), verifier.Call{}, scope).Code; got != want {
			t.Errorf("Check for %s: got %s, want %s", scope, got, want)
		}
	}
	if err := checker.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}

// MayChange says in advance whether changes are allowed.
func TestMayChange(t *testing.T) {
	f := servertest.New(t)
	for _, tc := range []struct {
		scopes []string
		want   bool
	}{
		{nil, true},
		{[]string{keys.ScopeKeysRead, keys.ScopeKeysWrite}, true},
		{[]string{keys.ScopeKeysRead}, false},
	} {
		admin, err := connect.Settings{Server: f.URL, AdminKey: keys.NewSecret(f.Admin(tc.scopes...))}.Admin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got, err := admin.MayChange(t.Context()); got != tc.want || err != nil {
			t.Errorf("MayChange with %q: got %v, %v, want %v", tc.scopes, got, err, tc.want)
		}
		_ = admin.Close()
	}
	s := connect.Settings{DB: filepath.Join(t.TempDir(), "keys.db")}
	if err := s.Create(); err != nil {
		t.Fatal(err)
	}
	admin, err := s.Admin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = admin.Close() }()
	if may, err := admin.MayChange(t.Context()); !may || err != nil {
		t.Errorf("MayChange beside the store: got %v, %v", may, err)
	}
}

func TestSQLiteVersion(t *testing.T) {
	if got := connect.SQLiteVersion(); got != sqlite.Version() || !strings.HasPrefix(got, "3.") {
		t.Errorf("SQLiteVersion: got %q, want %q", got, sqlite.Version())
	}
}

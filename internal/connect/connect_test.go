package connect_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mcpkeys/mcpkeys/internal/connect"
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
		if got := tc.in.WithEnv(func(name string) string { return tc.env[name] }); got != tc.want {
			t.Errorf("%s: WithEnv: got %+v, want %+v", tc.name, got, tc.want)
		}
	}
}

// Who believes to act on a server must not act on this machine: no way in may
// ignore the setting.
func TestServerIsRefused(t *testing.T) {
	s := connect.Settings{DB: filepath.Join(t.TempDir(), "keys.db"), Server: "https://keys.internal"}
	_, adminErr := s.Admin(t.Context())
	_, checkerErr := s.Checker(t.Context())
	for way, err := range map[string]error{"Create": s.Create(), "Admin": adminErr, "Checker": checkerErr} {
		var invalid *keys.InvalidError
		if !errors.As(err, &invalid) || invalid.Field != "KEYCTL_SERVER" {
			t.Errorf("%s: got %v, want an InvalidError about KEYCTL_SERVER", way, err)
		}
	}
	if _, err := os.Stat(s.DB); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a key store was made: %v", err)
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

// What one side issues the other accepts, and the audit log names who did it.
func TestIssueAndCheck(t *testing.T) {
	s := connect.Settings{DB: filepath.Join(t.TempDir(), "keys.db")}
	if err := s.Create(); err != nil {
		t.Fatal(err)
	}
	admin, err := s.Admin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	issued, err := admin.Issue(t.Context(), keys.IssueRequest{Name: "ci", Scopes: []string{"tools:get_*"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := admin.Close(); err != nil {
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

func TestSQLiteVersion(t *testing.T) {
	if got := connect.SQLiteVersion(); got != sqlite.Version() || !strings.HasPrefix(got, "3.") {
		t.Errorf("SQLiteVersion: got %q, want %q", got, sqlite.Version())
	}
}

package peercheck

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
)

// listening makes a socket in a directory that only this user may write to.
func listening(t *testing.T) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "s")
	if err := os.Chmod(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return path
}

func dial(t *testing.T, s *Socket) error {
	t.Helper()
	conn, err := s.Dial(t.Context(), "", "")
	if err == nil {
		_ = conn.Close()
	}
	return err
}

func wantRefused(t *testing.T, err error, says string) {
	t.Helper()
	var refused *RefusedError
	if !errors.As(err, &refused) || !strings.Contains(err.Error(), says) {
		t.Errorf("Dial: got %v, want a RefusedError that says %q", err, says)
	}
}

func TestDial(t *testing.T) {
	path := listening(t)
	for _, serverUser := range []string{"", strconv.Itoa(os.Geteuid())} {
		s, err := New(path, serverUser, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		if err := dial(t, s); err != nil {
			t.Errorf("server user %q: %v", serverUser, err)
		}
	}
	if err := os.Chmod(filepath.Dir(path), 0o720); err != nil {
		t.Fatal(err)
	}
	s, err := New(path, "", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	wantRefused(t, dial(t, s), "other users may put a socket")
	var network *net.OpError
	gone := &Socket{path: filepath.Join(t.TempDir(), "none", "s"), users: s.users}
	if err := dial(t, gone); !errors.As(err, &network) || network.Op != "dial" || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Dial without a directory: got %v, want an OpError that says that it does not exist", err)
	}
}

// The socket or the directory of a user that is neither root nor the server's is refused.
func TestOtherUser(t *testing.T) {
	path := listening(t)
	other := &Socket{path: path, users: []int{os.Geteuid() + 1}}
	wantRefused(t, dial(t, other), "other users may put a socket")
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	wantRefused(t, other.checkListener(conn), "the user "+strconv.Itoa(os.Geteuid())+" listens there")
}

func TestNew(t *testing.T) {
	for path, says := range map[string]string{
		"":                                "absolute path",
		"run/s":                           "absolute path",
		"./s":                             "absolute path",
		"@abstract":                       "absolute path",
		"/" + strings.Repeat("x", 103):    "at most 103 bytes",
		"/run/" + someToken() + "/socket": "absolute path",
	} {
		_, err := New(path, "", time.Minute)
		var invalid *keys.InvalidError
		if !errors.As(err, &invalid) || invalid.Field != "server" || !strings.Contains(err.Error(), says) {
			t.Errorf("New(%q): got %v, want an InvalidError that says %q", path, err, says)
		}
	}
	if _, err := New("/run/s", "no-such-user", time.Minute); err == nil || !strings.Contains(err.Error(), "server_user") {
		t.Errorf("New with an unknown user: got %v, want an error about server_user", err)
	}
}

func someToken() string { return keys.NewToken(keys.KindKey).Secret().Reveal() }

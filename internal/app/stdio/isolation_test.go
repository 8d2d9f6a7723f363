//go:build linux

package stdio_test

import (
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/mcpkeys/mcpkeys/internal/app/stdio"
)

// The MCP server gets only the variables that it needs and the named ones.
func TestEnvironmentIsSmall(t *testing.T) {
	t.Setenv("LANG", "C.UTF-8")
	t.Setenv("SECRET_OF_THE_GUARD", "hidden")
	t.Setenv("PASSED_BY_NAME", "shown")
	r := newRig(t, "server", func(o *stdio.Options) { o.Env = append(o.Env, "PASSED_BY_NAME", "SET_HERE=a=b") })
	c := r.named("alice@example.com", "build bot")
	c.initialize()
	got := strings.Split(c.call("env", ""), "\n")
	slices.Sort(got)
	u := user.User{}
	if os.Geteuid() == 0 {
		nobody, err := user.Lookup("nobody")
		if err != nil {
			t.Fatal(err)
		}
		u = *nobody
	} else if self, err := user.Current(); err == nil {
		u = *self
	}
	id := strings.Split(c.secret, "_")
	want := []string{
		"HOME=" + u.HomeDir, "LANG=C.UTF-8", "MCPKEYS_KEY_ID=", "MCPKEYS_NAME=build bot", "MCPKEYS_OWNER=alice@example.com",
		"PASSED_BY_NAME=shown", "PATH=" + os.Getenv("PATH"), "SET_HERE=a=b", roleVar + "=server",
	}
	for i, v := range got {
		if strings.HasPrefix(v, "MCPKEYS_KEY_ID=") && len(v) > len("MCPKEYS_KEY_ID=") {
			got[i] = "MCPKEYS_KEY_ID="
		}
		if strings.Contains(v, id[len(id)-1]) {
			t.Errorf("the secret is in the environment: %s", v)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("environment:\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// Descriptors that the guard itself inherited stay with it.
func TestNoDescriptorIsInherited(t *testing.T) {
	name := filepath.Join(t.TempDir(), "open")
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	fd, err := syscall.Open(name, syscall.O_RDONLY, 0) // without O_CLOEXEC
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Close(fd) }()
	got := newRig(t, "server").initialized().call("fds", "")
	for line := range strings.Lines(got) {
		if n, to, _ := strings.Cut(strings.TrimSpace(line), " "); !slices.Contains([]string{"0", "1", "2"}, n) || !strings.HasPrefix(to, "pipe:") {
			t.Errorf("descriptors:\n%s", got)
		}
	}
}

// With a user of its own, the MCP server reads neither files nor memory of the guard.
func TestOtherUserReadsNothingOfTheGuard(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "pepper")
	if err := os.WriteFile(secret, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() != 0 {
		_, err := stdio.New(stdio.Options{Command: []string{binary}, User: "nobody"})
		wantError(t, err, "needs root")
		return
	}
	c := newRig(t, "server").initialized()
	for _, name := range []string{secret, filepath.Dir(secret), "/etc/shadow"} {
		if got := c.call("open", name); !strings.Contains(got, "permission denied") {
			t.Errorf("open %s: %s", name, got)
		}
	}
	if got := c.call("parent", ""); got != "read: " {
		t.Errorf("of /proc/PPID the server could %s", got)
	}
	nobody, err := user.Lookup("nobody")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := c.call("id", ""), nobody.Uid+" "+nobody.Gid; got != want {
		t.Errorf("user and group: got %s, want %s", got, want)
	}
}

// With the same user, the memory of the guard is closed nevertheless.
func TestSameUserReadsNoMemory(t *testing.T) {
	cmd := exec.Command(binary, "-test.run=^TestAsSameUser$", "-test.v")
	cmd.Env = append(os.Environ(), "STDIO_TEST_SAME_USER=1", "TMPDIR=/tmp")
	cmd.Dir = "/"
	if os.Geteuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: TestAsSameUser") {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestAsSameUser is the part of TestSameUserReadsNoMemory that runs without root.
func TestAsSameUser(t *testing.T) {
	if os.Getenv("STDIO_TEST_SAME_USER") == "" {
		return
	}
	r := newRig(t, "server")
	c := r.initialized()
	if got := c.call("parent", ""); got != "read: " {
		t.Errorf("of /proc/PPID the server could %s", got)
	}
	if !strings.Contains(r.log.String(), "can read every file that this user can read") {
		t.Errorf("the log does not say what the server can read:\n%s", r.log)
	}
}

//go:build linux

package stdio_test

import (
	"errors"
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
		"PASSED_BY_NAME=shown", "PATH=" + pathOfServers(), "SET_HERE=a=b", roleVar + "=server",
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

// pathOfServers is the PATH of MCP servers: not that of root.
func pathOfServers() string {
	if os.Geteuid() == 0 {
		return "/usr/local/bin:/usr/bin:/bin"
	}
	return os.Getenv("PATH")
}

// A PATH that is passed is that of the MCP server, and the program is looked for in it.
func TestPathOfTheServer(t *testing.T) {
	dir := filepath.Dir(binary)
	with := func(o *stdio.Options) { o.Command = []string{"server"}; o.Env = append(o.Env, "PATH="+dir) }
	if got := newRig(t, "server", with).initialized().call("env", ""); !strings.Contains(got, "PATH="+dir+"\n") || strings.Count(got, "\nPATH=") > 1 {
		t.Errorf("environment: got %s", got)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	o := stdio.Options{Command: []string{"server"}}
	if asUser(&o); o.User == "" {
		return // the PATH of the guard
	}
	_, err := stdio.New(o)
	wantError(t, err, "with --env PATH")
}

// A path is one from the guard's directory and is looked for nowhere else. Relative entries of PATH are
// left out, for a program of the same name may be where they lead.
func TestRelativeProgram(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	here, sub := filepath.Join(dir, "server"), filepath.Join(dir, "bin", "server")
	if err := os.Mkdir("bin", 0o755); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{here, sub} {
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", filepath.Join(dir, "bin"))
	for command, want := range map[string]string{"./server": here, "bin/server": sub, "../" + filepath.Base(dir) + "/server": here, "./missing": ""} {
		got, err := stdio.Find(stdio.Options{Command: []string{command}}, os.Getenv("PATH"))
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%s: got %q and %v, want %q", command, got, err, want)
		}
	}
	for path, want := range map[string]string{".": "", "": "", "bin": "", ".:bin:" + filepath.Join(dir, "bin"): sub} {
		got, err := stdio.Find(stdio.Options{Command: []string{"server"}}, path)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("PATH=%s: got %q and %v, want %q", path, got, err, want)
		}
	}
}

// A program with setuid does not make the MCP server root again.
func TestSetuidDoesNotRaise(t *testing.T) {
	c := newRig(t, "server").initialized()
	status := c.call("file", "/proc/self/status")
	if os.Geteuid() != 0 {
		if !strings.Contains(status, "NoNewPrivs:\t0") {
			t.Errorf("a trial as the same user: got %s", status)
		}
		return
	}
	if !strings.Contains(status, "NoNewPrivs:\t1") {
		t.Errorf("got %s", status)
	}
	text, err := os.ReadFile(binary)
	whoami := filepath.Join(filepath.Dir(binary), "whoami")
	if err = errors.Join(err, os.WriteFile(whoami, text, 0o755), os.Chmod(whoami, os.ModeSetuid|0o755)); err != nil {
		t.Fatal(err)
	}
	nobody, err := user.Lookup("nobody")
	if err != nil {
		t.Fatal(err)
	}
	if got := c.call("run", whoami); !strings.Contains(got, "effective user "+nobody.Uid+" ") {
		t.Errorf("a program of root with setuid: got %s", got)
	}
	threads, without := 0, 0
	names, err := filepath.Glob("/proc/self/task/*/status")
	for _, name := range names {
		threads++
		if strings.Contains(readFile(name), "NoNewPrivs:\t0") {
			without++
		}
	}
	if err != nil || without == 0 {
		t.Errorf("the guard itself: %d of %d threads are as they were, %v", without, threads, err)
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

package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// bench is a directory with a keyctl program that tests run, as any user.
type bench struct {
	t   *testing.T
	dir string
	env []string
	uid int
}

// newBench copies this test binary under the name keyctl to where any user may run it.
func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, dir: t.TempDir(), uid: os.Geteuid()}
	for dir := b.dir; strings.HasPrefix(dir, os.TempDir()+"/"); dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(b.dir, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	in, err := os.Open(self)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = in.Close() }()
	out, err := os.OpenFile(filepath.Join(b.dir, "bin", "keyctl"), os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(out, in); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	return b
}

// sh runs a line in the bench's directory and returns its output and its exit code.
func (b *bench) sh(line string) (string, int) {
	b.t.Helper()
	cmd := exec.CommandContext(b.t.Context(), "sh", "-c", line)
	cmd.Dir = b.dir
	cmd.Env = append([]string{"PATH=" + filepath.Join(b.dir, "bin") + ":/usr/bin:/bin", "HOME=" + b.dir, "GORACE=atexit_sleep_ms=0"}, b.env...)
	if b.uid != os.Geteuid() {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(b.uid), Gid: uint32(b.uid)}}
	}
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		b.t.Fatalf("%s: %v", line, err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

func (b *bench) must(line string) string {
	b.t.Helper()
	out, code := b.sh(line)
	if code != 0 {
		b.t.Fatalf("%s: exit code %d\n%s", line, code, out)
	}
	return out
}

// give makes a user the owner of everything in the bench except the program.
func (b *bench) give(uid int) {
	b.t.Helper()
	b.must(fmt.Sprintf("chown %d:%d . && find . -path ./bin -prune -o -exec chown %d:%d {} +", uid, uid, uid, uid))
}

const stranger = 12345

// TestHintsLeadOn puts a key store into each state in which a command prints a hint, runs the
// hint as it was printed, and then wants the command that failed to work. Every hint that
// keyctl prints needs a row here.
func TestHintsLeadOn(t *testing.T) {
	for _, tc := range []struct {
		name  string
		state string // sh commands that run first, in a directory with a new key store
		as    int    // the user of the later commands; 0 is the user of the tests
		env   []string
		run   string
		hint  string // a regular expression whose group is the hint
		never string // a regular expression that must not match the output
		then  string // must work after the hint; default: run
	}{
		{
			name: "no key store at the place that was named", state: "rm -f mcpkeys.db*",
			run: "keyctl --db keys.db list", hint: "make one with '([^']*)'",
		},
		{
			name: "no key store at a place with a space", state: "rm -f mcpkeys.db*; mkdir -p 'a b'",
			run: "keyctl --db 'a b/keys.db' list", hint: "make one with '(keyctl --db 'a b/keys.db' init)'",
		},
		{
			name: "doctor without a key store", state: "rm -f mcpkeys.db*",
			run: "keyctl --db keys.db doctor", hint: "make one with '([^']*)'", then: "keyctl --db keys.db list",
		},
		{
			name: "a server is named, for what only the file can be asked", env: []string{"KEYCTL_SERVER=https://keys.internal"},
			run: "keyctl doctor", hint: "name it with (--db)", then: "keyctl doctor --db mcpkeys.db",
		},
		{
			name: "a file that is not a pepper file", run: "cp /etc/passwd p; chmod 644 p; keyctl --pepper p list",
			hint: "(name the right file with --pepper)", never: "chmod", then: "keyctl list",
		},
		{
			name: "a file that is not a key store", run: "cp /etc/passwd p; chmod 644 p; keyctl --db p list",
			hint: "(name the key store with --db)", never: "chmod|init", then: "keyctl --db mcpkeys.db list",
		},
		{
			name: "other users may open files", state: "chmod 644 mcpkeys.db mcpkeys.db-epoch mcpkeys.db.pepper",
			run: "keyctl doctor", hint: "run '(chmod 600 [^']*)'", then: "keyctl list",
		},
		{
			name: "other users may open the database and more", state: "chmod 644 mcpkeys.db mcpkeys.db-epoch mcpkeys.db.pepper",
			run: "keyctl list", hint: "run '(chmod 600 [^']*)'",
		},
		{
			name: "other users may open the pepper", state: "chmod 644 mcpkeys.db.pepper",
			run: "keyctl list", hint: "run '(chmod 600 [^']*)'",
		},
		{
			name: "a platform sets group bits", state: "chmod 660 mcpkeys.db*",
			run: "keyctl list", hint: "or use (--allow-group) or MCPKEYS_ALLOW_GROUP=1", then: "keyctl --allow-group list && MCPKEYS_ALLOW_GROUP=1 keyctl list && MCPKEYS_ALLOW_GROUP=1 keyctl doctor",
		},
		{
			name: "root looks at the key store of a service", state: "give",
			run: "keyctl doctor", hint: "(sudo -u)", never: "chown|✗", then: "keyctl doctor",
		},
		{
			name: "root left a file in the key store of a service", state: "give; chown 0 mcpkeys.db.usage",
			run: "keyctl doctor", hint: "as root: (chown [^\n]*)", then: "keyctl doctor",
		},
		{
			name: "the epoch file is read-only for the service", state: "give; chmod 400 mcpkeys.db-epoch", as: stranger,
			run: "keyctl issue ci", hint: "run '(chmod u\\+rw [^']*)'", never: "remove",
		},
		{
			name: "a key is not found", run: "keyctl show missing",
			hint: "`([^`]*)` shows all", then: "true",
		},
		{
			name: "no key yet", run: "keyctl list",
			hint: "Issue one: ([^\n]*)", then: "keyctl show ci",
		},
		{
			name: "a new key", run: "keyctl issue ci",
			hint: "next: ([^\n]*)", then: "true",
		},
		{
			name: "a new key store", state: "rm -f mcpkeys.db*", run: "keyctl init",
			hint: "next: ([^\n]*)", then: "keyctl show ci",
		},
		{
			name: "a rotation that is under way", state: "keyctl issue ci", run: "keyctl rotate ci",
			hint: "to end the old secret sooner: ([^\n]*)", then: "keyctl show ci",
		},
		{
			name: "more keys than were asked for", state: "keyctl issue one; keyctl issue two", run: "keyctl list --limit 1",
			hint: "(--cursor [^ \n]*)", then: "keyctl list --limit 1 $HINT",
		},
		{
			name: "a subcommand with a typing error", run: "keyctl audit verfy",
			hint: `did you mean "([^"]*)"`, then: "keyctl $HINT",
		},
		{
			name: "a word of other programs", run: "keyctl create ci",
			hint: `did you mean "([^"]*)"`, then: "keyctl $HINT ci",
		},
		{
			name: "no such command", run: "keyctl whoami --help",
			hint: "unknown command \"whoami\"; `([^`]*)` lists them all", then: "true",
		},
		{
			name: "a whole list to revoke", state: "keyctl issue a --owner data-team; keyctl issue b --owner data-team", run: "keyctl list --help",
			hint: "(keyctl list --owner data-team -o name [^\n]*)", then: "test -z \"$(keyctl list --owner data-team -o name)\"",
		},
		{
			name: "nothing to revoke", run: "keyctl list --help",
			hint: "(keyctl list --owner data-team -o name [^\n]*)", then: "true",
		},
		{
			name: "two rows that cannot be imported", run: "printf '{\"name\":\"a\",\"hash\":\"sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\"}\\n{}\\n' >k.jsonl; keyctl import k.jsonl",
			hint: "use (--partial) to import the rest", then: "keyctl import k.jsonl $HINT; test $? = 5",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBench(t)
			b.must("keyctl init")
			for state := range strings.SplitSeq(tc.state, ";") {
				if state = strings.TrimSpace(state); state == "give" {
					b.give(stranger)
				} else if state != "" {
					b.must(state)
				}
			}
			if tc.as != 0 {
				b.uid = tc.as
			}
			b.env = tc.env
			said, _ := b.sh(tc.run)
			found := regexp.MustCompile(tc.hint).FindStringSubmatch(said)
			if found == nil {
				t.Fatalf("%s: no hint %s in\n%s", tc.run, tc.hint, said)
			}
			if tc.never != "" && regexp.MustCompile(tc.never).MatchString(said) {
				t.Errorf("%s: says %s:\n%s", tc.run, tc.never, said)
			}
			hint := found[1]
			if strings.HasPrefix(hint, "keyctl ") || strings.HasPrefix(hint, "chmod ") || strings.HasPrefix(hint, "chown ") {
				b.must(hint)
			}
			then := tc.then
			if then == "" {
				then = tc.run
			}
			b.env = append(b.env, "HINT="+hint)
			b.must(then)
		})
	}
}

// Many people first type only a port.
func TestHintOfListen(t *testing.T) {
	e, _, stderr := testEnv(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	if got := run(t.Context(), []string{"serve", "--listen", port}, e); got != exitUsage {
		t.Errorf("serve --listen PORT: got exit code %d, want %d", got, exitUsage)
	}
	hint := regexp.MustCompile(`--listen (127\.0\.0\.1:\d+)\n$`).FindStringSubmatch(stderr.String())
	if hint == nil {
		t.Fatalf("serve --listen PORT: no address in %q", stderr)
	}
	stderr.Reset()
	if got := run(t.Context(), []string{"serve", "--listen", hint[1]}, e); got != exitStore || !strings.Contains(stderr.String(), "another program listens at "+hint[1]) {
		t.Errorf("serve at a port that is taken: got exit code %d, %q", got, stderr)
	}
	for _, bad := range []string{"127.0.0.1", "127.0.0.1:99999", "localhost:", "http://127.0.0.1:80", "a b:1"} {
		stderr.Reset()
		if got := run(t.Context(), []string{"serve", "--listen", bad}, e); got != exitUsage && got != exitStore || strings.Contains(stderr.String(), "listen tcp") {
			t.Errorf("serve --listen %q: got exit code %d, %q", bad, got, stderr)
		}
	}
	stderr.Reset()
	l2 := l.Addr().String()
	_ = l.Close()
	if got := run(cancelled(t), []string{"serve", "--listen", l2}, e); strings.Contains(stderr.String(), "takes an address") {
		t.Errorf("serve --listen %s: got exit code %d, %q", l2, got, stderr)
	}
}

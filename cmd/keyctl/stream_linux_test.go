package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/internal/dev/scale"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
)

// manyKeys is how many keys the streamed lists have: more than a pipe holds by far, and more
// than fit mostMemory as values.
const manyKeys = 20_000

// mostMemory is the most that a command may use that prints a list of any length, in MiB.
const mostMemory = 50

// crowd is a store of many keys, of one instant as after an import.
type crowd struct {
	t      *testing.T
	db     string
	oldest string // the id of the key that is listed last
}

func newCrowd(t *testing.T) *crowd {
	t.Helper()
	c := &crowd{t: t, db: filepath.Join(t.TempDir(), "keys.db")}
	now := time.Now()
	if err := scale.FillWith(t.Context(), c.db, manyKeys, now, func(_ int, k *keys.Key) {
		k.CreatedAt, k.RevokedAt, k.RevokedReason = keys.StoredTime(now), time.Time{}, ""
		c.oldest = max(c.oldest, k.ID)
	}); err != nil {
		t.Fatal(err)
	}
	return c
}

// edit changes what the store holds.
func (c *crowd) edit(do func(*admin.Local) error) {
	c.t.Helper()
	s, err := sqlite.Open(c.db, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	m, err := admin.NewLocal(s, "test", nil)
	if err == nil {
		err = do(m)
	}
	if err := errors.Join(err, s.Close()); err != nil {
		c.t.Fatal(err)
	}
}

// printing is a keyctl whose output is read by the test.
type printing struct {
	t      *testing.T
	cmd    *exec.Cmd
	out    *bufio.Reader
	pipe   io.Closer
	stderr bytes.Buffer
}

func startPrinting(t *testing.T, env []string, args ...string) *printing {
	t.Helper()
	p := &printing{t: t, cmd: exec.Command("keyctl", args...)}
	p.cmd.Env = append(append(os.Environ(), "GORACE=atexit_sleep_ms=0"), env...)
	p.cmd.Stderr = &p.stderr
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.out, p.pipe = bufio.NewReader(out), out
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.cmd.Process.Kill() })
	return p
}

func (p *printing) line() string {
	p.t.Helper()
	text, err := p.out.ReadString('\n')
	if err != nil {
		p.t.Fatalf("keyctl %v: got %v instead of a line; standard error:\n%s", p.cmd.Args[1:], err, &p.stderr)
	}
	return text
}

// peak is the most memory that the process has used so far, in MiB, and 0 if it has ended. What
// wait reports would contain the memory of the test.
func (p *printing) peak() int {
	p.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		p.t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(status), "VmHWM:")
	var kib int
	_, _ = fmt.Sscan(after, &kib) // a process that has ended has no such line
	return kib >> 10
}

// rest reads all that comes, and returns the most memory that the process used.
func (p *printing) rest() (text []byte, peak int) {
	p.t.Helper()
	for n := 0; ; n++ {
		line, err := p.out.ReadBytes('\n')
		text = append(text, line...)
		if n%100 == 0 {
			peak = max(peak, p.peak())
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			p.t.Fatal(err)
		}
	}
	if err := p.cmd.Wait(); err != nil {
		p.t.Fatalf("keyctl %v: %v\n%s", p.cmd.Args[1:], err, &p.stderr)
	}
	return text, peak
}

// A list is printed while it is read: when its first line is out, the last key was not read
// yet, and the memory of the process does not grow with the list.
func TestListsArePrintedWhileTheyAreRead(t *testing.T) {
	c := newCrowd(t)
	var adminKey string
	c.edit(func(m *admin.Local) error {
		issued, err := m.Issue(t.Context(), admin.IssueRequest{Kind: keys.KindAdmin, Name: "me"})
		adminKey = issued.Token.Reveal()
		return err
	})
	server := &serving{t: t, db: c.db, ended: make(chan error, 1)}
	server.launch()
	local, remote := []string{"KEYCTL_DB=" + c.db}, []string{"KEYCTL_SERVER=" + server.url, "KEYCTL_ADMIN_KEY=" + adminKey}
	for i, list := range []struct {
		env  []string
		line string
	}{
		{local, "list -o jsonl"},
		{local, "list -o csv"},
		{local, "list -o json"},
		{local, "list -o name"},
		{local, "export"},
		{local, "export -o csv --with-digests"},
		{local, "export -o json"},
		{local, "audit -o json"},
		{remote, "list -o jsonl"},
		{remote, "export -o csv"},
	} {
		where, _, _ := strings.Cut(list.env[0], "=")
		t.Run(where+" "+list.line, func(t *testing.T) {
			p := startPrinting(t, list.env, strings.Fields(list.line)...)
			first := p.line()
			owner := fmt.Sprintf("owner-%d", i)
			c.edit(func(m *admin.Local) error {
				_, err := m.Edit(t.Context(), c.oldest, admin.EditRequest{Owner: &owner})
				return err
			})
			text, peak := p.rest()
			shows := !strings.Contains(list.line, "name") && !strings.Contains(list.line, "audit") // the owner of the last key
			if shows && !bytes.Contains(text, []byte(owner)) {
				t.Errorf("the last key was read before the first line %q was printed", first)
			}
			if peak == 0 || peak > mostMemory {
				t.Errorf("got a peak of %d MiB, want at most %d", peak, mostMemory)
			}
			t.Logf("%d MiB of output, peak %d MiB", len(text)>>20, peak)
		})
	}
}

// A reader that has enough, such as head, closes its pipe. The command ends without a word, also
// where SIGPIPE is ignored.
func TestClosedPipeEndsAListQuietly(t *testing.T) {
	c := newCrowd(t)
	for _, line := range []string{"list -o jsonl", "list -o csv", "export", "audit -o jsonl", "audit -o csv", "audit -f -n 20000 -o jsonl"} {
		for _, shell := range []string{"exec keyctl $0", "trap '' PIPE; exec keyctl $0"} {
			cmd := exec.Command("sh", "-c", shell, line)
			cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0", "KEYCTL_DB="+c.db)
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
				t.Errorf("%s: got %v instead of a line", line, err)
			}
			_ = out.Close()
			err = cmd.Wait()
			var exit *exec.ExitError
			if errors.As(err, &exit) {
				if status, _ := exit.Sys().(syscall.WaitStatus); status.Signal() == syscall.SIGPIPE {
					err = nil
				}
			}
			if err != nil || stderr.Len() > 0 {
				t.Errorf("%s, by %q: got %v and %q, want a quiet end", line, shell, err, &stderr)
			}
		}
	}
}

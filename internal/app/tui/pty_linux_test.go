package tui_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"golang.org/x/sys/unix"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/internal/app/tui"
	"github.com/mcpkeys/mcpkeys/keys"
)

// pty is a terminal of 80 by 24 that shows nothing, answers no query, and records its input.
type pty struct {
	user, tty *os.File

	mu      sync.Mutex
	written bytes.Buffer
	grown   chan struct{} // something was written
}

func newPTY(t testing.TB) *pty {
	t.Helper()
	user, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	fd := int(user.Fd())
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	tty, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 80}); err != nil {
		t.Fatal(err)
	}
	p := &pty{user: user, tty: tty, grown: make(chan struct{}, 1)}
	// The tty is closed when it is not referenced any longer: a program that has ended may still
	// ask for its size.
	t.Cleanup(func() { _ = user.Close() })
	go p.read()
	return p
}

func (p *pty) read() {
	buf := make([]byte, 4096)
	for {
		n, err := p.user.Read(buf)
		if err != nil {
			return
		}
		p.mu.Lock()
		p.written.Write(buf[:n])
		p.mu.Unlock()
		select {
		case p.grown <- struct{}{}:
		default:
		}
	}
}

func (p *pty) output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.written.String()
}

// await returns when text was written, or fails the test.
func (p *pty) await(t testing.TB, text string) {
	t.Helper()
	late := time.After(20 * time.Second)
	for !strings.Contains(p.output(), text) {
		select {
		case <-p.grown:
		case <-late:
			t.Fatalf("the terminal was never sent %q; it got %q", text, p.output())
		}
	}
}

// state is the terminal's mode.
func (p *pty) state(t testing.TB) unix.Termios {
	t.Helper()
	s, err := unix.IoctlGetTermios(int(p.tty.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return *s
}

// start runs the dashboard on p; the channel gets the result.
func (p *pty) start(ctx context.Context, t testing.TB, m admin.Manager) <-chan error {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- tui.Run(ctx, m, p.tty, p.tty, nil) }()
	return done
}

const (
	enterAlternate = "\x1b[?1049h"
	leaveAlternate = "\x1b[?1049l"
)

// Some terminals answer no query (tmux detached, a serial line): the first frame must not wait
// for an answer. The best of three counts, because a program that waits does so each time, and
// a busy machine does not.
func TestFirstFrameOnASilentTerminal(t *testing.T) {
	m, _, _ := newStore(t)
	mustIssue(t, m, admin.IssueRequest{Name: "ci"})
	best := time.Hour
	for range 3 {
		best = min(best, firstFrame(t, m))
	}
	t.Logf("first frame after %v", best)
	if best > 200*time.Millisecond {
		t.Errorf("first frame: after %v, want less than 200ms", best)
	}
}

func firstFrame(t *testing.T, m admin.Manager) time.Duration {
	t.Helper()
	p := newPTY(t)
	began := time.Now()
	done := p.start(t.Context(), t, m)
	p.await(t, "mcpkeys")
	took := time.Since(began)
	p.await(t, "active")
	if _, err := p.user.WriteString("q"); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Errorf("Run after q: %v", err)
	}
	p.await(t, leaveAlternate)
	return took
}

// panicky is a manager with a bug.
type panicky struct{ admin.Manager }

func (panicky) List(context.Context, keys.Query) (keys.Page, error) { panic("a bug") }

const childVariable = "MCPKEYS_TUI_TEST_PANICS"

// The dashboard runs in another process, TestPanickingDashboard, because after a panic it does
// not wait for its reader of keys, which the race detector reports.
func TestPanicRestoresTheTerminal(t *testing.T) {
	p := newPTY(t)
	before := p.state(t)
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestPanickingDashboard$")
	child.Env = append(os.Environ(), childVariable+"=1")
	child.Stdin, child.Stdout, child.Stderr = p.tty, p.tty, p.tty
	_ = child.Run() // the terminal shows how it ended
	p.await(t, "Run: draw the dashboard: ")
	p.await(t, "Caught panic")
	if p.state(t) != before {
		t.Error("after a panic the terminal is still raw")
	}
	if out := p.output(); strings.LastIndex(out, enterAlternate) > strings.LastIndex(out, leaveAlternate) {
		t.Errorf("after a panic the alternate screen is still up: %q", out)
	}
}

// TestPanickingDashboard is the other process of the test above.
func TestPanickingDashboard(t *testing.T) {
	if os.Getenv(childVariable) == "" {
		return
	}
	m, _, _ := newStore(t)
	err := tui.Run(t.Context(), panicky{m}, os.Stdin, os.Stdout, nil)
	fmt.Printf("Run: %v\n", err)
	if !errors.Is(err, tea.ErrProgramPanic) {
		t.Errorf("Run with a panicking manager: got %v", err)
	}
}

// The program is stopped from outside while a secret is shown: the terminal is restored, and
// nothing of the secret is written after the alternate screen was left.
func TestEndOfContextWhileASecretShows(t *testing.T) {
	m, _, _ := newStore(t)
	p := newPTY(t)
	before := p.state(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := p.start(ctx, t, m)
	p.await(t, "No keys yet")
	if _, err := p.user.WriteString("nci\x13"); err != nil { // ctrl+s
		t.Fatal(err)
	}
	p.await(t, "mcpk_")
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Run after its context ended: %v", err)
	}
	p.await(t, leaveAlternate)
	if p.state(t) != before {
		t.Error("after the context ended the terminal is still raw")
	}
	_, after, _ := strings.Cut(p.output(), leaveAlternate)
	if strings.Contains(after, "mcpk_") {
		t.Error("the secret was written to the main screen")
	}
}

// A23. TEA_TRACE makes the library write every byte it draws to a file: an attacker who can set
// a variable of an administrator's shell would read secrets there.
func TestNoTraceHoldsTheSecret(t *testing.T) {
	trace := filepath.Join(t.TempDir(), "trace")
	t.Setenv("TEA_TRACE", trace)
	t.Setenv("UV_DEBUG", trace)
	m, _, _ := newStore(t)
	p := newPTY(t)
	done := p.start(t.Context(), t, m)
	p.await(t, "No keys yet")
	if _, err := p.user.WriteString("nci\x13"); err != nil {
		t.Fatal(err)
	}
	p.await(t, "mcpk_")
	if _, err := p.user.WriteString("ok"); err != nil {
		t.Fatal(err)
	}
	p.await(t, "issued ci")
	if _, err := p.user.WriteString("q"); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(trace); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a trace was written: %v", err)
	}
}

func TestCheckTerminal(t *testing.T) {
	p := newPTY(t)
	file, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	for _, tc := range []struct {
		name    string
		in, out any
		term    string
		ok      bool
	}{
		{"a terminal", p.tty, p.tty, "xterm-256color", true},
		{"no name", p.tty, p.tty, "", true},
		{"a dumb one", p.tty, p.tty, "dumb", false},
		{"output to a file", p.tty, file, "xterm", false},
		{"input from a file", file, p.tty, "xterm", false},
		{"no file at all", strings.NewReader(""), &bytes.Buffer{}, "xterm", false},
	} {
		if err := tui.CheckTerminal(tc.in, tc.out, tc.term); (err == nil) != tc.ok {
			t.Errorf("CheckTerminal(%s): got %v", tc.name, err)
		}
	}
}

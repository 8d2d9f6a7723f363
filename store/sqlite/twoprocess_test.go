package sqlite_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
	"github.com/mcpkeys/mcpkeys/verifier"
	"github.com/mcpkeys/mcpkeys/verifier/local"
)

// other is another process that has the key store open, and answers a line with a line.
type other struct {
	t   testing.TB
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

// start runs a role, behind the words of a command such as unshare if there are any.
func start(t testing.TB, role, path string, behind ...string) *other {
	t.Helper()
	args := append(behind, os.Args[0], path)
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), roleVar+"="+role)
	cmd.Stderr = os.Stderr
	in, out := beginAsked(t, cmd)
	o := &other{t, cmd, in, bufio.NewReader(out)}
	t.Cleanup(o.end)
	return o
}

// ask returns what the process answers; what it says when it ends is an answer too.
func (o *other) ask(line string) string {
	o.t.Helper()
	_, _ = fmt.Fprintln(o.in, line) // or it has ended, and has said why
	answer, err := o.out.ReadString('\n')
	if err != nil {
		o.t.Fatalf("%q: the other process gave no answer: %q, %v", line, answer, err)
	}
	return strings.TrimSpace(answer)
}

// end lets the process close its store.
func (o *other) end() {
	_ = o.in.Close()
	_, _ = io.Copy(io.Discard, o.out)
	_ = o.cmd.Wait()
}

// answering runs a role's answers until the questions end. An error of opening
// is the answer to every question.
func answering(opened error, answer func(verb, rest string) string) error {
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		verb, rest, _ := strings.Cut(lines.Text(), " ")
		var said string
		if opened != nil {
			said = "refused: " + opened.Error()
		} else {
			said = answer(verb, rest)
		}
		fmt.Println(strings.ReplaceAll(said, "\n", " "))
	}
	return nil
}

// newGuard opens a store as a guarded server does. It answers a secret with the
// decision's code.
func newGuard(path string) (func(secret string) string, error) {
	r, err := sqlite.OpenVerifier(path, nil)
	if err != nil {
		return nil, err
	}
	v, err := verifier.New(local.New(r, nil), nil)
	return func(secret string) string {
		d := v.Authenticate(context.Background(), secret, verifier.Call{})
		if d.Cause != nil {
			return string(d.Code) + ": " + d.Cause.Error()
		}
		return string(d.Code)
	}, err
}

// guardRole is a guarded server: "check SECRET".
func guardRole(path string) error {
	guard, err := newGuard(path)
	return answering(err, func(_, secret string) string { return guard(secret) })
}

// ask starts this program once more in a role, and asks it one thing.
func ask(role, path, line string) string {
	cmd := exec.Command(os.Args[0], path)
	cmd.Env = append(os.Environ(), roleVar+"="+role)
	cmd.Stdin = strings.NewReader(line + "\n")
	out, err := cmd.Output()
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(string(out))
}

// adminRole is a program that changes keys: "issue NAME", "revoke ID", "status ID".
func adminRole(path string) error {
	s, err := sqlite.Open(path, nil)
	if err != nil {
		return answering(err, nil)
	}
	defer func() { _ = s.Close() }()
	m, err := admin.NewLocal(s, "other", nil)
	if err != nil {
		return err
	}
	return answering(nil, func(verb, rest string) string {
		if err := administer(m, verb, rest); err != nil {
			return "refused: " + err.Error()
		}
		return "done"
	})
}

func administer(m *admin.Local, verb, rest string) error {
	ctx := context.Background()
	switch verb {
	case "issue":
		_, err := m.Issue(ctx, admin.IssueRequest{Name: rest})
		return err
	case "revoke":
		_, err := m.Revoke(ctx, rest, "test")
		return err
	case "status":
		k, err := m.Key(ctx, rest)
		if err != nil {
			return err
		}
		return errors.New(string(k.Status(time.Now())))
	}
	return fmt.Errorf("no such verb: %s", verb)
}

// once starts a process that changes keys, asks it one thing, and lets it end.
func once(t testing.TB, path, line string, behind ...string) string {
	t.Helper()
	o := start(t, "admin", path, behind...)
	answer := o.ask(line)
	o.end()
	return answer
}

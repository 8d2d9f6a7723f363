package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/audit"
	"github.com/mcpkeys/mcpkeys/keys/requestid"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
	"github.com/mcpkeys/mcpkeys/verifier"
	"github.com/mcpkeys/mcpkeys/verifier/local"
)

// A20. The disk is full, by accident or by an attack: keys are checked as before, a change
// fails without a partial effect, and a leaked key can be revoked permanently. The disk is a
// small one that only a child process of the test sees.
func TestA20FullDisk(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	script := `mount -t tmpfs -o size=24m none "$1" && exec "$2" "$1"`
	cmd := exec.CommandContext(t.Context(), "unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh", dir, os.Args[0])
	cmd.Env = append(os.Environ(), roleVar+"=fulldisk")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// fullDisk is a key store on a disk that can be filled to the last byte.
type fullDisk struct {
	dir, path string
}

func (d fullDisk) fill() error {
	f, err := os.OpenFile(filepath.Join(d.dir, "junk"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	for _, piece := range []int{1 << 20, 4096, 1} {
		for err == nil {
			_, err = f.Write(make([]byte, piece))
		}
		if !errors.Is(err, syscall.ENOSPC) {
			return fmt.Errorf("fill the disk: %w", err)
		}
		err = nil
	}
	return nil
}

func (d fullDisk) clear() error { return os.Remove(filepath.Join(d.dir, "junk")) }

func (d fullDisk) hasBallast() bool {
	info, err := os.Stat(d.path + ".ballast")
	return err == nil && info.Size() == 8<<20 && info.Sys().(*syscall.Stat_t).Blocks*512 >= 8<<20
}

// fullDiskRole runs on the small disk at dir.
func fullDiskRole(dir string) error {
	d := fullDisk{dir, filepath.Join(dir, "keys.db")}
	if err := sqlite.Create(d.path, nil); err != nil {
		return err
	}
	if !d.hasBallast() {
		return errors.New("Create reserved nothing")
	}
	var issued []admin.Issued
	err := d.change(func(m *admin.Local) error {
		for _, name := range []string{"a", "b", "c"} {
			one, err := m.Issue(context.Background(), admin.IssueRequest{Name: name})
			if err != nil {
				return err
			}
			issued = append(issued, one)
		}
		return nil
	})
	return errors.Join(err, d.story(issued))
}

func (d fullDisk) story(issued []admin.Issued) error {
	if err := d.fill(); err != nil {
		return err
	}
	if err := d.wantCode(issued[0], keys.CodeValid); err != nil {
		return err
	}
	var events int
	err := d.change(func(m *admin.Local) error {
		if err := d.issueUntilFull(m); err != nil {
			return err
		}
		if _, err := m.Disable(context.Background(), issued[1].Key.ID, "some reason"); !errors.Is(err, keys.ErrUnavailable) {
			return fmt.Errorf("Disable on a full disk: got %w, want ErrUnavailable", err)
		}
		return nil
	})
	if err == nil && !d.hasBallast() {
		err = errors.New("the reserve was given up for something else than a revocation")
	}
	if err == nil {
		events, err = d.events()
	}
	if err != nil {
		return err
	}
	if err := d.revoke(issued[0]); err != nil {
		return fmt.Errorf("Revoke on a full disk: %w", err)
	}
	if d.hasBallast() {
		return errors.New("Revoke on a full disk: the reserve is still there; was the disk full?")
	}
	if after, err := d.events(); err != nil || after != events+1 {
		return fmt.Errorf("audit rows after the revocation: got %d, %w, want %d", after, err, events+1)
	}
	if err := d.revoke(issued[1]); err != nil {
		return fmt.Errorf("Revoke after the reserve was given up: %w", err)
	}
	return d.storyWithoutReserve(issued[2])
}

// storyWithoutReserve continues when the disk is full again.
func (d fullDisk) storyWithoutReserve(last admin.Issued) error {
	if err := d.fill(); err != nil {
		return err
	}
	err := d.change(func(m *admin.Local) error {
		if err := d.issueUntilFull(m); err != nil {
			return err
		}
		_, err := m.Revoke(context.Background(), last.Key.ID, "leaked")
		if !errors.Is(err, keys.ErrUnavailable) || !strings.Contains(err.Error(), "not durable") {
			return fmt.Errorf("Revoke without room or reserve: got %w, want ErrUnavailable and that it is not durable", err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := d.wantCode(last, keys.CodeValid); err != nil {
		return err
	}
	if err := d.clear(); err != nil {
		return err
	}
	if err := d.revoke(last); err != nil {
		return fmt.Errorf("Revoke after clearing up: %w", err)
	}
	if d.hasBallast() {
		return errors.New("the reserve took the place of what was cleared away")
	}
	return nil
}

// issueUntilFull uses up what is free inside the files that SQLite has.
func (d fullDisk) issueUntilFull(m *admin.Local) error {
	for range 20_000 {
		if _, err := m.Issue(context.Background(), admin.IssueRequest{Name: "n-" + requestid.Or("")[24:]}); err != nil {
			if errors.Is(err, keys.ErrUnavailable) && strings.Contains(err.Error(), "the disk is full") {
				return nil
			}
			return fmt.Errorf("Issue on a disk that fills up: got %w, want ErrUnavailable and why", err)
		}
	}
	return errors.New("the disk did not fill up")
}

// revoke does it as keyctl does, and looks as another process does.
func (d fullDisk) revoke(k admin.Issued) error {
	err := d.change(func(m *admin.Local) error {
		_, err := m.Revoke(context.Background(), k.Key.ID, "leaked")
		return err
	})
	return errors.Join(err, d.wantCode(k, keys.CodeRevoked))
}

func (d fullDisk) change(do func(*admin.Local) error) error {
	s, err := sqlite.Open(d.path, nil)
	if err != nil {
		return fmt.Errorf("Open: %w", err)
	}
	m, err := admin.NewLocal(s, "test", nil)
	if err == nil {
		err = do(m)
	}
	return errors.Join(err, s.Close())
}

func (d fullDisk) wantCode(k admin.Issued, want keys.Code) error {
	r, err := sqlite.OpenVerifier(d.path, nil)
	if err != nil {
		return fmt.Errorf("OpenVerifier: %w", err)
	}
	defer func() { _ = r.Close() }()
	v, err := verifier.New(local.New(r, nil), nil)
	if err != nil {
		return err
	}
	defer func() { _ = v.Close() }() // counts of use may be lost here
	if got := v.Authenticate(context.Background(), k.Token.Reveal(), verifier.Call{}); got.Code != want {
		return fmt.Errorf("Authenticate: got %s, %w, want %s", got.Code, got.Cause, want)
	}
	return nil
}

// events counts the audit rows, and checks their chain.
func (d fullDisk) events() (int, error) {
	r, err := sqlite.OpenVerifier(d.path, nil)
	if err != nil {
		return 0, fmt.Errorf("OpenVerifier: %w", err)
	}
	defer func() { _ = r.Close() }()
	all, err := r.Events(context.Background(), 0, 1<<30)
	if err != nil {
		return 0, err
	}
	_, err = audit.VerifyChain(func(yield func(audit.Event, error) bool) {
		for _, e := range all {
			if !yield(e, nil) {
				return
			}
		}
	})
	return len(all), err
}

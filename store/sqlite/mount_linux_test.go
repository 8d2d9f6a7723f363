package sqlite_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mcpkeys/mcpkeys/store/sqlite"
)

// A disk is mounted over the directory of a store in use. The guard does not continue with
// files that no other process finds any more.
func TestMountedOverWhileInUse(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	guard := start(t, "mountedguard", w.path, "unshare", "--user", "--map-root-user", "--mount")
	if got := guard.ask("check " + w.key.Token.Reveal()); got != "valid" {
		t.Fatalf("the guard before: %s", got)
	}
	if got := guard.ask("mount " + w.dir); got != "done" {
		t.Fatalf("mount: %s", got)
	}
	if got := w.revoke(t, w.path); got != "done" {
		t.Fatalf("revoke: %s", got)
	}
	if got := guard.ask("check " + w.key.Token.Reveal()); !strings.HasPrefix(got, "unavailable: ") {
		t.Errorf("the guard behind the mount: got %q, want unavailable", got)
	}
}

const overlaid = `mount -t overlay overlay -o userxattr,lowerdir="$1",upperdir="$2/upper",workdir="$2/work" "$2/merged"`

// A container was stopped and started, so the overlay is mounted again in which the store's
// files were copied up from a lower layer. They now have other inode numbers, like a copy, but
// are not copies.
func TestBroughtUpAndMountedAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.admin.end()
	w.guard.end()
	top := t.TempDir()
	for _, name := range []string{"upper", "work", "merged"} {
		mkdir(t, filepath.Join(top, name))
	}
	script := overlaid + ` && chmod 600 "$2/merged/keys.db" "$2/merged/keys.db-epoch" && umount "$2/merged" && ` + overlaid
	ns := start(t, "layered", filepath.Join(top, "merged", "keys.db"), inNamespace(script, w.dir, top)...)
	if got := ns.ask("check " + w.key.Token.Reveal()); got != "valid" {
		t.Errorf("check: got %q, want valid", got)
	}
	if got := ns.ask("revoke " + w.key.Key.ID); got != "done" {
		t.Errorf("revoke: got %q, want done", got)
	}
	if got := ns.ask("check " + w.key.Token.Reveal()); got != "revoked" {
		t.Errorf("check afterwards: got %q, want revoked", got)
	}
}

// TestA17LowerLayer: the store is in a lower layer of an overlay file system, as one that
// came with a container's image is. What a guard mapped there would never change.
func TestA17LowerLayer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.admin.end()
	w.guard.end()
	top := t.TempDir()
	for _, name := range []string{"upper", "work", "merged"} {
		mkdir(t, filepath.Join(top, name))
	}
	ns := start(t, "layered", filepath.Join(top, "merged", "keys.db"), inNamespace(overlaid, w.dir, top)...)
	for _, secret := range []string{"open", "check " + w.key.Token.Reveal(), "revoke " + w.key.Key.ID, "again " + w.key.Token.Reveal()} {
		want := map[string]string{"open": "done", "check": "valid", "revoke": "done", "again": "revoked"}[strings.Fields(secret)[0]]
		if got := ns.ask(secret); got != want {
			t.Fatalf("%s: got %q, want %q", strings.Fields(secret)[0], got, want)
		}
	}
}

// layeredRole is a guard beside a program that revokes, which sees the same mounts: the
// guard has opened the store before the first write.
func layeredRole(path string) error {
	guard, err := newGuard(path)
	return answering(err, func(verb, rest string) string {
		switch verb {
		case "check", "again":
			return guard(rest)
		case "revoke":
			return ask("admin", path, "revoke "+rest)
		}
		return "done"
	})
}

// mountedGuardRole is a guard that can have a disk mounted over a directory.
func mountedGuardRole(path string) error {
	guard, err := newGuard(path)
	return answering(err, func(verb, rest string) string {
		if verb == "check" {
			return guard(rest)
		}
		if out, err := exec.Command("mount", "-t", "tmpfs", "none", rest).CombinedOutput(); err != nil {
			return err.Error() + ": " + string(out)
		}
		return "done"
	})
}

// The database has other names, in other directories. What the message says to run lists
// them all, also where the path is an odd one.
func TestHintListsAllNames(t *testing.T) {
	t.Parallel()
	disk := t.TempDir()
	path := filepath.Join(disk, "it's here", "deep", "keys.db")
	ns := start(t, "linked", path, inNamespace(`mount -t tmpfs none "$1"`, disk)...)
	got := ns.ask("list")
	for _, name := range []string{path, filepath.Join(disk, "far", "other.db"), filepath.Join(disk, "it's here", "near.db")} {
		if !strings.Contains(got, name) {
			t.Errorf("the hint lists %q, want %s in it", got, name)
		}
	}
}

// linkedRole makes a key store whose database has three names, and runs what the refusal
// says to run.
func linkedRole(path string) error {
	above := filepath.Dir(filepath.Dir(path))
	far := filepath.Join(filepath.Dir(above), "far")
	err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.Mkdir(far, 0o700), sqlite.Create(path, nil),
		os.Link(path, filepath.Join(above, "near.db")), os.Link(path, filepath.Join(far, "other.db")))
	return answering(err, func(string, string) string {
		_, err := sqlite.OpenVerifier(path, nil)
		if err == nil {
			return "it was opened"
		}
		_, hint, _ := strings.Cut(err.Error(), "('")
		hint, _, _ = strings.Cut(hint, "' lists them)")
		out, err := exec.Command("sh", "-c", hint).CombinedOutput()
		if err != nil {
			return hint + ": " + err.Error() + ": " + string(out)
		}
		return string(out)
	})
}

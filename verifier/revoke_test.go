package verifier_test

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/store/sqlite"
)

// soakVar makes the tests of this file take longer, as `make soak` does.
const soakVar = "MCPKEYS_SOAK"

// rounds is how many keys a test revokes. With the race detector fewer do, because the
// processes that it watches are slow.
func rounds(usual, soak int) int {
	switch {
	case os.Getenv(soakVar) != "":
		return soak
	case testing.Short():
		return usual / 5
	}
	return usual
}

// revokeAll lets another process revoke every key, and returns when each revoke had
// returned.
func (f *fleet) revokeAll(t *testing.T) []int64 {
	t.Helper()
	cmd, _, lines := f.start(t, "revoker")
	returned := make([]int64, len(f.keys))
	f.listen(t, lines, returned, func(int) {})
	if err := cmd.Wait(); err != nil {
		t.Fatalf("revoker: %v", err)
	}
	return returned
}

// listen notes what a revoker says, and tells heard of how many keys it has.
func (f *fleet) listen(t *testing.T, lines *bufio.Scanner, returned []int64, heard func(n int)) {
	t.Helper()
	for n := 1; lines.Scan(); n++ {
		var i int
		var at int64
		if n, err := fmt.Sscan(lines.Text(), &i, &at); n != 2 || err != nil {
			continue // cut off in the middle: it said nothing
		}
		returned[i] = at
		heard(n)
	}
}

// wantNoneLate is the promise: no check that began after the revoke of its key had
// returned was accepted.
func (f *fleet) wantNoneLate(t *testing.T, returned []int64, reports []report) {
	t.Helper()
	for n, r := range reports {
		late, hits := 0, r.Checks-r.Reads
		for i, at := range returned {
			switch {
			case at == 0:
				t.Fatalf("key %d was never revoked", i)
			case r.Accepted[i] == 0:
				t.Fatalf("server %d never accepted key %d, so this test shows nothing", n, i)
			case r.Accepted[i] > at:
				late++
			}
		}
		if late > 0 {
			t.Errorf("server %d accepted %d of %d keys after their revoke had returned", n, late, len(returned))
		}
		if hits < r.Checks*9/10 {
			t.Errorf("server %d: %d of %d checks were hits; the load was on the store and not on the cache", n, hits, r.Checks)
		}
		t.Logf("server %d: %d checks, %d reads", n, r.Checks, r.Reads)
	}
}

// TestA17ThreeProcesses: two servers are under load on all keys while a third process
// revokes them one by one.
func TestA17ThreeProcesses(t *testing.T) {
	f := newFleet(t, rounds(1000, 20_000))
	_, reports := f.servers(t, 2)
	returned := f.revokeAll(t)
	f.wantNoneLate(t, returned, reports())
}

// TestA18StoppedServer: one of the servers is stopped in the midst of its checks, as a
// busy machine does to a process, a key is revoked, and the server continues; once it was
// stopped for longer than a lease.
func TestA18StoppedServer(t *testing.T) {
	f := newFleet(t, rounds(300, 5000))
	servers, reports := f.servers(t, 2)
	m, closeStore := f.manager(t)
	defer closeStore()
	returned := make([]int64, len(f.keys))
	for i, k := range f.keys {
		signal(t, servers[1], syscall.SIGSTOP)
		if i == len(f.keys)/2 {
			time.Sleep(lease + 100*time.Millisecond)
		}
		if _, err := m.Revoke(t.Context(), k.ID, "test"); err != nil {
			t.Fatal(err)
		}
		returned[i] = time.Now().UnixNano()
		signal(t, servers[1], syscall.SIGCONT)
		time.Sleep(rand.N(3 * time.Millisecond))
	}
	f.wantNoneLate(t, returned, reports())
}

// TestA19KilledRevokers: the revoker is killed at random moments, after it has revoked
// some keys. Another continues with the key that the killed one had not acknowledged.
func TestA19KilledRevokers(t *testing.T) {
	f := newFleet(t, rounds(200, 5000))
	_, reports := f.servers(t, 2)
	returned := make([]int64, len(f.keys))
	kills := 0
	for unfinished(returned) {
		cmd, _, lines := f.start(t, "revoker")
		last := 1 + rand.N(15)
		f.listen(t, lines, returned, func(n int) {
			if n == last { // it is at work on the next key
				time.AfterFunc(rand.N(3*time.Millisecond), func() { _ = cmd.Process.Kill() })
			}
		})
		if cmd.Wait() != nil {
			kills++
		}
		for i, at := range returned {
			if at != 0 {
				_ = os.WriteFile(f.done(i), nil, 0o600)
			}
		}
	}
	if kills == 0 {
		t.Error("no revoker was killed in time")
	}
	t.Logf("%d revokers were killed", kills)
	f.wantNoneLate(t, returned, reports())
}

func unfinished(returned []int64) bool {
	for _, at := range returned {
		if at == 0 {
			return true
		}
	}
	return false
}

// TestEpochFileReplacedUnderLoad: a copy is put in the place of the epoch file while
// servers and a revoker are at work. It is refused until it is mended, and revokers that
// were refused are started again.
func TestEpochFileReplacedUnderLoad(t *testing.T) {
	f := newFleet(t, rounds(200, 2000))
	_, reports := f.servers(t, 2)
	var replacing sync.WaitGroup
	replacing.Go(func() {
		time.Sleep(rand.N(100 * time.Millisecond))
		text, err := os.ReadFile(f.path() + "-epoch")
		if err == nil {
			err = os.WriteFile(f.path()+"-copy", text, 0o600)
		}
		if err == nil {
			err = os.Rename(f.path()+"-copy", f.path()+"-epoch")
		}
		if err != nil {
			t.Error(err)
		}
		f.mend(t)
	})
	returned := make([]int64, len(f.keys))
	for unfinished(returned) && !t.Failed() {
		cmd, _, lines := f.start(t, "revoker")
		f.listen(t, lines, returned, func(int) {})
		_ = cmd.Wait() // it was refused, or is done
		for i, at := range returned {
			if at != 0 {
				_ = os.WriteFile(f.done(i), nil, 0o600)
			}
		}
	}
	replacing.Wait()
	f.wantNoneLate(t, returned, reports())
}

// mend makes a copied key store one of its own.
func (f *fleet) mend(t *testing.T) {
	t.Helper()
	if mended, err := sqlite.Mend(t.Context(), f.path(), nil, "test", time.Now()); err != nil || !mended {
		t.Errorf("Mend: got %v, %v", mended, err)
	}
}

// TestDatabaseRestoredUnderLoad: a copy of the whole key store, its epoch too, is renamed
// over the one that servers have open, and mended, and then keys are revoked.
func TestDatabaseRestoredUnderLoad(t *testing.T) {
	f := newFleet(t, rounds(100, 2000))
	for _, suffix := range []string{"", "-epoch"} {
		text, err := os.ReadFile(f.path() + suffix)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(f.path()+"-backup"+suffix, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, reports := f.servers(t, 2)
	for _, suffix := range []string{"-wal", "-shm"} {
		_ = os.Remove(f.path() + suffix) // there only during a write
	}
	for _, suffix := range []string{"", "-epoch"} {
		rename(t, f.path()+"-backup"+suffix, f.path()+suffix)
	}
	f.mend(t)
	f.wantNoneLate(t, f.revokeAll(t), reports())
	if left, _ := filepath.Glob(f.dir + "/*backup*"); len(left) != 0 {
		t.Errorf("left over: %q", left)
	}
}

// TestRestoreUnderLoad: a backup from before the keys were made is restored while servers
// have the key store open and check the keys, one of them stopped meanwhile. Once the
// restore has returned no server accepts a removed key, and each continues with the restored
// ones.
func TestRestoreUnderLoad(t *testing.T) {
	f := newFleet(t, rounds(100, 2000))
	backup := f.dir + "/before.db"
	empty := t.TempDir() + "/keys.db"
	if err := sqlite.Create(empty, &sqlite.Options{PepperFile: f.path() + ".pepper", SameStore: true}); err != nil {
		t.Fatal(err)
	}
	copyStore(t, empty, f.path()+".pepper", backup)
	servers, reports := f.servers(t, 2)
	time.Sleep(rand.N(50 * time.Millisecond)) // into their load
	signal(t, servers[1], syscall.SIGSTOP)
	r, err := sqlite.PrepareRestore(t.Context(), f.path(), backup, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	if _, err := r.Run(t.Context(), sqlite.RestoreOptions{Actor: "test"}); err != nil {
		t.Fatal(err)
	}
	returned := make([]int64, len(f.keys))
	for i := range returned {
		returned[i] = time.Now().UnixNano()
	}
	signal(t, servers[1], syscall.SIGCONT)
	time.Sleep(200 * time.Millisecond) // of checks that must all be refused
	for n, r := range reports() {
		for i, at := range returned {
			if r.Accepted[i] == 0 || r.Accepted[i] > at {
				t.Errorf("server %d, key %d: last accepted %v after the restore", n, i, time.Duration(r.Accepted[i]-at))
			}
		}
	}
}

func copyStore(t *testing.T, path, pepper, to string) {
	t.Helper()
	r, err := sqlite.OpenVerifier(path, &sqlite.Options{PepperFile: pepper})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	if _, err := r.Backup(t.Context(), to, nil); err != nil {
		t.Fatal(err)
	}
}

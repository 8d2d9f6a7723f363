package sqlite_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/keys/audit"
	"github.com/mcpkeys/mcpkeys/keys/feed"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
)

// soakVar makes the tests that kill processes take longer, as `make soak` does.
const soakVar = "MCPKEYS_SOAK"

func rounds(usual, soak int) int {
	if os.Getenv(soakVar) != "" {
		return soak
	}
	return usual
}

// restoreRole restores the backup beside the key store.
func restoreRole(path string) error {
	r, err := sqlite.PrepareRestore(context.Background(), path, path+".backup", nil)
	if err != nil {
		return err
	}
	fmt.Println("prepared")
	o := sqlite.RestoreOptions{Actor: "child", Progress: func(int, int) { fmt.Println("writing") }}
	if _, err := r.Run(context.Background(), o); err != nil {
		return err
	}
	fmt.Println("restored")
	return r.Close()
}

// TestA19KilledWhileRestoring: the process that restores is killed at a random moment, in
// every other round one while it writes over the key store.
// There is the old key store or the new one, whole, once Mend has ended what was left; a
// reader that was open all the time sees the one or the other; and the next restore
// comes through.
func TestA19KilledWhileRestoring(t *testing.T) {
	t.Parallel()
	path := create(t)
	s := open(t, path)
	issue(t, s, admin.IssueRequest{Name: "old"})
	swell(t, path)
	backUp(t, s.Reader, path+".backup")
	r := openVerifier(t, path)
	outcomes := map[string]int{}
	var took time.Duration // by a restore that is left alone, which is the first
	for round := 0; round < rounds(6, 100) || outcomes["old"] == 0 && round < 100; round++ {
		if round >= 6 && outcomes["old"] == 0 {
			took /= 2 // the first took longer than the others, so that all kills came too late
		}
		leaked := issue(t, s, admin.IssueRequest{Name: "round " + strconv.Itoa(round)})
		mustRevoke(t, s, leaked.Key.ID)
		before := len(wholeChain(t, s.Reader))
		generation := mustChanges(t, r, feed.Position{}).Next.Generation

		cmd := child(t, "restore", path)
		began := time.Now()
		out := begin(t, cmd)
		kill := func() { _ = cmd.Process.Kill() }
		timer := time.AfterFunc(time.Hour, kill)
		if round%2 == 0 && round > 0 {
			timer.Reset(sometime(took, round%4 == 0))
		}
		said := lastLine(out, func(line string) {
			if round%2 == 1 && line == "writing" && timer.Stop() {
				timer.Reset(rand.N(120 * time.Millisecond))
			}
		})
		killed := cmd.Wait() != nil
		timer.Stop()
		if round == 0 {
			took = time.Since(began)
		}

		mended, err := sqlite.Mend(t.Context(), path, nil, "test", time.Now())
		if err != nil {
			t.Fatalf("Mend: %v", err)
		}
		events := wholeChain(t, s.Reader)
		if mended {
			outcomes["mended"]++
			events = events[:len(events)-1]
		}
		now := mustChanges(t, r, feed.Position{}).Next.Generation
		newest := events[len(events)-1]
		switch {
		case (now == generation || mended) && len(events) == before && said != "restored":
			outcomes["old"]++
		case now != generation && newest.Action == audit.ActionRestore:
			outcomes["new"]++
		default:
			t.Fatalf("round %d, killed %v after %q: got generation %s, was %s, and %d audit rows up to %s, were %d", round, killed, said, now, generation, len(events), newest.Action, before)
		}
		sweep(t, path)
	}
	t.Logf("%d times the old key store, %d times the new one, %d times no reader accepted it until it was mended", outcomes["old"], outcomes["new"], outcomes["mended"])
	done, err := (&history{path: path, backup: path + ".backup"}).prepare(t).Run(t.Context(), sqlite.RestoreOptions{Actor: "test"})
	if err != nil || done.Kept == "" {
		t.Errorf("the next restore: got %+v, %v", done, err)
	}
	if outcomes["old"] == 0 || outcomes["new"] == 0 {
		t.Errorf("got %v, want both, or this test shows nothing", outcomes)
	}
}

// sometime is a random moment of what takes as long as took, or of its first half, so that
// some moments are surely before the end.
func sometime(took time.Duration, early bool) time.Duration {
	if early {
		took /= 2
	}
	return rand.N(max(1, took))
}

// sweep removes what a killed process leaves: copies, under names of their own.
func sweep(t testing.TB, path string) {
	t.Helper()
	kept, err := filepath.Glob(path + ".before-restore-*")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range append(kept, hidden(t, filepath.Dir(path))...) {
		_ = os.Remove(name)
	}
}

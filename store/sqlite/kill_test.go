package sqlite_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/audit"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
)

// liveRole opens a key store, which may have to be migrated, and lives on it until it is
// killed: four at once issue keys, rotate them, and revoke every other one. Each says
// what is done, and only then.
func liveRole(path string) error {
	_, m, err := childStore(path)
	if err != nil {
		return err
	}
	fmt.Println("opened")
	errs := make(chan error)
	for n := range 4 {
		go func() {
			for i := 0; ; i++ {
				if err := live(m, fmt.Sprintf("%d %d %d", os.Getpid(), n, i), i%2 == 0); err != nil {
					errs <- err
					return
				}
			}
		}()
	}
	return <-errs
}

// live is one key's life. A line is one write, so that lines of several do not mix.
func live(m admin.Manager, name string, revoke bool) error {
	ctx := context.Background()
	issued, err := m.Issue(ctx, admin.IssueRequest{Name: name})
	if err != nil {
		return err
	}
	id := issued.Key.ID
	fmt.Printf("done issue %s %s\n", id, issued.Token.Reveal())
	if issued, err = m.Rotate(ctx, id, admin.RotateRequest{}); err != nil {
		return err
	}
	fmt.Printf("done rotate %s %s\n", id, issued.Token.Reveal())
	if !revoke {
		return nil
	}
	if _, err = m.Revoke(ctx, id, "done"); err != nil {
		return err
	}
	fmt.Printf("done revoke %s -\n", id)
	return nil
}

// acknowledged is what children said of a key before they were killed.
type acknowledged struct {
	version int64
	revoked bool
	secrets []string
}

// tally counts what the rounds came upon: changes that were acknowledged, others that are
// there, and kills after which the key store was of the old schema.
type tally struct{ acknowledged, others, unmigrated int }

// TestA19KilledAtRandom is the promise that nothing acknowledged is lost. Each round has
// a key store of the old schema, and two processes, one after the other, that live on it
// and are killed at a random moment: while they open it, migrate it, issue, rotate or
// revoke. Every change that was acknowledged is there; every other one is there whole, with
// its seal and its audit row, or not at all; and the chain holds.
func TestA19KilledAtRandom(t *testing.T) {
	n := rounds(20, 200)
	var sum tally
	for round := range n {
		path := older(t).path
		told := map[string]*acknowledged{}
		var acknowledged, others int
		for range 2 {
			acknowledged, others = 0, 0
			killAtRandom(t, path, told)
			if schemaOf(t, path) == 1 {
				sum.unmigrated++
			}
			changes := check(t, path, told)
			for _, a := range told {
				changes -= int(a.version)
				acknowledged += int(a.version)
			}
			others += changes
		}
		sum.acknowledged += acknowledged
		sum.others += others
		if t.Failed() {
			t.Fatalf("in round %d", round)
		}
	}
	t.Logf("%d rounds, %d kills: %d changes acknowledged and there, %d more that were there whole, %d kills before the migration was over",
		n, 2*n, sum.acknowledged, sum.others, sum.unmigrated)
	if sum.acknowledged == 0 || sum.others == 0 && n >= 200 { // a few rounds may all end between two changes
		t.Errorf("got %+v, want some of both, or this test shows nothing", sum)
	}
}

// killAtRandom lets a child live for a while, and notes what it said. Every other one is
// given time from the moment it has opened the key store.
func killAtRandom(t *testing.T, path string, told map[string]*acknowledged) {
	t.Helper()
	cmd := child(t, "live", path)
	out := begin(t, cmd)
	fuse, opened := 5*time.Second, rand.N(150*time.Millisecond)
	if rand.N(2) == 0 {
		fuse, opened = rand.N(60*time.Millisecond), 0
	}
	timer := time.AfterFunc(fuse, func() { _ = cmd.Process.Kill() })
	lastLine(out, func(line string) {
		if line == "opened" && opened > 0 {
			timer.Reset(opened)
		}
		note(told, line)
	})
	_ = cmd.Wait()
	timer.Stop()
	if status := cmd.ProcessState; status.Exited() {
		t.Fatalf("the child ended by itself: %v", status)
	}
}

func note(told map[string]*acknowledged, line string) {
	var verb, id, token string
	if n, _ := fmt.Sscanf(line, "done %s %s %s", &verb, &id, &token); n != 3 {
		return
	}
	if told[id] == nil {
		told[id] = &acknowledged{}
	}
	a := told[id]
	a.version++
	a.revoked = verb == "revoke"
	if token != "-" {
		a.secrets = append(a.secrets, token)
	}
}

// check opens the key store as the next process would, for reading only, so that the next
// child may have to migrate it. It returns how many changes children have made in all.
func check(t *testing.T, path string, told map[string]*acknowledged) (changes int) {
	t.Helper()
	r, err := sqlite.OpenVerifier(path, nil)
	if err != nil {
		t.Fatalf("OpenVerifier after a kill: %v", err)
	}
	defer func() { _ = r.Close() }()
	newest := map[string]audit.Event{}
	for _, e := range wholeChain(t, r) {
		newest[e.KeyID] = e
		if e.Actor == "child" {
			changes++
		}
	}
	for id, a := range told {
		k, err := r.Key(t.Context(), id)
		if err != nil {
			t.Errorf("key %s, acknowledged: %v", id, err)
			continue
		}
		if k.Version < a.version || k.Version > a.version+1 || a.revoked == k.RevokedAt.IsZero() && k.Version == a.version {
			t.Errorf("key %s: got version %d, revoked %v; acknowledged was %d, revoked %v", id, k.Version, !k.RevokedAt.IsZero(), a.version, a.revoked)
		}
		for n, text := range a.secrets {
			if token, err := keys.ParseToken(text); err != nil || r.Peppers().Verify(k, token.Secret()) == nil {
				t.Errorf("key %s: its secret %d, which was handed out, does not prove it", id, n+1)
			}
		}
	}
	for id, e := range newest {
		wantWhole(t, r, id, e)
	}
	return changes
}

// wantWhole holds a key against the audit row of its newest change.
func wantWhole(t *testing.T, r *sqlite.Reader, id string, e audit.Event) {
	t.Helper()
	var detail struct{ After struct{ Version int64 } }
	if err := json.Unmarshal([]byte(e.Detail), &detail); err != nil {
		t.Fatal(err)
	}
	k, err := r.Key(t.Context(), id)
	if err != nil || r.Peppers().CheckSeal(k) != nil || k.Version != detail.After.Version {
		t.Errorf("key %s: got %v, %v, want it sealed and at the version that audit row %s tells, %d", id, k, err, strconv.FormatInt(e.Seq, 10), detail.After.Version)
	}
}

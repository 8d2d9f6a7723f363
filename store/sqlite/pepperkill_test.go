package sqlite_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/audit"
	"github.com/mcpkeys/mcpkeys/keys/feed"
	"github.com/mcpkeys/mcpkeys/keys/pepper"
	"github.com/mcpkeys/mcpkeys/keys/pepper/pepperfile"
	"github.com/mcpkeys/mcpkeys/store"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
)

// A19. The machine stops between the two halves of adding or retiring. The store opens
// for everybody, all keys are good, and the same command ends what was begun.
func TestA19HalfAChangeOfPeppers(t *testing.T) {
	path := create(t)
	s := open(t, path)
	first := issue(t, s, admin.IssueRequest{Name: "first"})
	old := s.Peppers().Current()
	_ = s.Close()

	half, err := pepperfile.Replace(path+".pepper", func(p *pepper.Set) (*pepper.Set, error) {
		more, _, err := p.Add()
		return more, err
	})
	if err != nil {
		t.Fatal(err)
	}
	wantGood(t, forChecks(t, path), "half added, for checks", first)
	s = open(t, path)
	wantGood(t, s, "half added, for changes", first)
	if id := addPepper(t, s); id != half.Current() {
		t.Errorf("AddPepper again: got another pepper, want the one that was half added")
	}
	second := issue(t, s, admin.IssueRequest{Name: "second"})

	if _, err := manager(t, s).Revoke(t.Context(), first.Key.ID, ""); err != nil {
		t.Fatal(err)
	}
	_ = s.Close()
	text, err := os.ReadFile(path + ".pepper")
	if err != nil {
		t.Fatal(err)
	}
	s = open(t, path)
	retire(t, s, old)
	_ = s.Close()
	write(t, path+".pepper", string(text)) // as before the second half
	wantGood(t, forChecks(t, path), "half retired, for checks", second)
	s = open(t, path)
	issue(t, s, admin.IssueRequest{Name: "third"})
	uses, err := s.PepperUses(t.Context(), time.Now())
	if err != nil || len(uses) != 2 || uses[0].ID != old || uses[0].Noted || uses[0].State != store.PepperOld {
		t.Errorf("PepperUses: got %+v, %v, want the first one old and not noted", uses, err)
	}
	retire(t, s, old)
	if s.Peppers().Has(old) {
		t.Error("RetirePepper again: the pepper is still there")
	}
	wantGood(t, s, "in the end", second)
}

// pepperRole adds a pepper, issues a key under it and retires the one before, for ever.
func pepperRole(path string) error {
	s, m, err := childStore(path)
	if err != nil {
		return err
	}
	ctx := context.Background()
	for i := 0; ; i++ {
		old := s.Peppers().Current()
		added, err := m.AddPepper(ctx)
		if err != nil {
			return err
		}
		if added == old { // it was half added by who was killed before
			continue
		}
		issued, err := m.Issue(ctx, admin.IssueRequest{Name: fmt.Sprintf("child %d %d", os.Getpid(), i)})
		if err != nil {
			return err
		}
		fmt.Println(issued.Token.Reveal())
		need, err := m.NeedPepper(ctx, old)
		if err != nil {
			return err
		}
		for _, k := range need {
			if _, err := m.FreePepper(ctx, k, old, "retired"); err != nil {
				return err
			}
		}
		if _, err := m.RetirePepper(ctx, old); err != nil {
			return err
		}
	}
}

// A19. Processes are killed at random moments of adding and retiring. Each time the
// store opens and its chain holds; every key that was told of is there, sealed, and
// good or revoked; and another handle, open all the while, sees the same.
func TestA19KilledWhileChangingPeppers(t *testing.T) {
	t.Parallel()
	path := create(t)
	stays := forChecks(t, path)
	var told []string
	for range 10 {
		cmd := child(t, "pepper", path)
		out := begin(t, cmd)
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			told = append(told, lines.Text())
			if len(told)%3 == 1 { // once for each process: it has begun
				time.AfterFunc(time.Duration(rand.IntN(60_000))*time.Microsecond, func() { _ = cmd.Process.Kill() })
			}
		}
		_ = cmd.Wait() // it was killed
		s := open(t, path)
		for _, r := range []store.Reader{s, stays} {
			if _, err := r.Changes(t.Context(), feed.Position{}); err != nil {
				t.Fatalf("Changes: %v", err)
			}
			wantToldKeys(t, r, told)
		}
		if _, err := audit.VerifyChain(chain(t, s)); err != nil {
			t.Fatalf("VerifyChain: %v", err)
		}
		_ = s.Close()
	}
}

func wantToldKeys(t *testing.T, r store.Reader, told []string) {
	t.Helper()
	for _, text := range told {
		token, err := keys.ParseToken(text)
		if err != nil {
			t.Fatal(err)
		}
		k, err := r.Key(t.Context(), token.ID())
		if err != nil || r.Peppers().CheckSeal(k) != nil {
			t.Fatalf("Key(%s): got %v, want it sealed", token.ID(), err)
		}
		if k.RevokedAt.IsZero() && r.Peppers().Verify(k, token.Secret()) == nil {
			t.Fatalf("Key(%s): not revoked, and its token does not prove it", token.ID())
		}
	}
}

// Peppers change while other handles write, one of them for two callers at once. No
// write fails but those of keys that are revoked meanwhile, and no key is lost.
func TestPeppersChangeWhileOthersWrite(t *testing.T) {
	t.Parallel()
	path := create(t)
	one, two := open(t, path), open(t, path)
	var issued [3][]admin.Issued
	var writers, retirer sync.WaitGroup
	for w, s := range []store.Store{one, one, two} {
		m := manager(t, s)
		writers.Go(func() { issued[w] = issueMany(t, m, fmt.Sprint("writer ", w)) })
	}
	done := make(chan struct{})
	retirer.Go(func() { changePeppers(t, open(t, path), done) })
	writers.Wait()
	close(done)
	retirer.Wait()
	r := forChecks(t, path)
	for _, list := range issued {
		for _, one := range list {
			wantToldKeys(t, r, []string{one.Token.Reveal()})
		}
	}
	if _, err := audit.VerifyChain(chain(t, r)); err != nil {
		t.Errorf("VerifyChain: %v", err)
	}
}

func issueMany(t *testing.T, m admin.Manager, name string) (list []admin.Issued) {
	for i := range 25 {
		issued, err := m.Issue(t.Context(), admin.IssueRequest{Name: fmt.Sprint(name, " ", i)})
		if err != nil {
			t.Errorf("Issue: %v", err)
			return list
		}
		list = append(list, issued)
		if _, err := m.Disable(t.Context(), issued.Key.ID, ""); err != nil && !errors.Is(err, keys.ErrConflict) {
			t.Errorf("Disable: %v", err)
		}
	}
	return list
}

// changePeppers adds peppers and retires the one before, until done is closed.
func changePeppers(t *testing.T, s *sqlite.Store, done <-chan struct{}) {
	m := manager(t, s)
	for {
		select {
		case <-done:
			return
		default:
		}
		old := s.Peppers().Current()
		if _, err := m.AddPepper(t.Context()); err != nil {
			t.Errorf("AddPepper: %v", err)
			return
		}
		for err := keys.ErrConflict; err != nil; {
			var need []*keys.Key
			need, err = m.NeedPepper(t.Context(), old)
			for _, k := range need {
				_, freed := m.FreePepper(t.Context(), k, old, "retired")
				err = errors.Join(err, freed)
			}
			if err == nil {
				_, err = m.RetirePepper(t.Context(), old)
			}
			if err != nil && !errors.Is(err, keys.ErrConflict) {
				t.Errorf("retire: %v", err)
				return
			}
		}
	}
}

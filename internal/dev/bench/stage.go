package bench

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/feed"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
	"github.com/mcpkeys/mcpkeys/verifier"
	"github.com/mcpkeys/mcpkeys/verifier/local"
)

// audience is the server that the keys are for, needed what a call asks of them.
const (
	audience = "weather"
	needed   = "tools:get_forecast"
)

// few is how many keys the cases use that are answered from memory.
const few = 1000

// Stage is what the cases run on: a store that is written to, with a few keys that the verifier
// remembers, and a store of many keys of which it remembers nearly none. It is for one
// goroutine.
type Stage struct {
	store   *sqlite.Store
	manager *admin.Local
	hit     *verifier.Verifier
	calls   *counted // of hit's store
	few     string   // the file of store
	tokens  []string // of few keys
	revoked string

	many       *sqlite.Reader
	miss       *verifier.Verifier
	looks      *counted // of miss's store
	manyTokens []string
	point      *sql.DB // the same file, for the floor

	far     *far    // nil until it is needed
	scratch *sql.DB // an empty database, for the floor of writing
	issued  atomic.Int64
}

// Open sets the stage in dir, an empty directory; size is the number of the many keys.
func Open(ctx context.Context, dir string, size int) (*Stage, error) {
	s := &Stage{few: filepath.Join(dir, "few.db")}
	err := s.openFew(ctx, s.few)
	if err == nil {
		err = s.openMany(ctx, filepath.Join(dir, "many.db"), size)
	}
	if err == nil {
		s.scratch, err = openScratch(ctx, filepath.Join(dir, "scratch.db"))
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Stage) openFew(ctx context.Context, path string) error {
	var err error
	if s.tokens, err = makeMany(ctx, path, few); err != nil {
		return err
	}
	if s.store, err = sqlite.Open(path, nil); err != nil {
		return err
	}
	if s.manager, err = admin.NewLocal(s.store, "bench", nil); err != nil {
		return err
	}
	dead, err := s.issue(ctx)
	if err != nil {
		return err
	}
	s.revoked = dead.Token.Reveal()
	if _, err := s.manager.Revoke(ctx, dead.Key.ID, "bench"); err != nil {
		return err
	}
	s.calls = &counted{Reader: s.store.Reader}
	if s.hit, err = verifier.New(local.New(s.calls, nil), nil); err != nil {
		return err
	}
	return s.remember(ctx)
}

// remember has the verifier read each of the few keys.
func (s *Stage) remember(ctx context.Context) error {
	for _, t := range s.tokens {
		if d := s.hit.Authenticate(ctx, t, call); !d.Valid() {
			return fmt.Errorf("%w: %s: %w", errWrong, d.Code, d.Cause)
		}
	}
	return nil
}

// issue makes a key with everything that a check looks at: scopes, an audience, an expiry and a
// rate limit that is counted and never reached.
func (s *Stage) issue(ctx context.Context) (admin.Issued, error) {
	return s.manager.Issue(ctx, admin.IssueRequest{
		Name: fmt.Sprintf("issued-%d", s.issued.Add(1)), Owner: "bench",
		Scopes: []string{"tools:get_*", "tools:search", "prompts:*"}, Audience: []string{audience},
		RateLimit: keys.RateLimit{Count: 100_000_000, Window: time.Second, Burst: 100_000_000},
	})
}

func (s *Stage) openMany(ctx context.Context, path string, size int) error {
	var err error
	if s.manyTokens, err = makeMany(ctx, path, size); err != nil {
		return err
	}
	if s.many, err = sqlite.OpenVerifier(path, nil); err != nil {
		return err
	}
	s.looks = &counted{Reader: s.many}
	if s.miss, err = verifier.New(local.New(s.looks, nil), &verifier.Options{
		Keys: 100, Strangers: keys.RateLimit{Count: 100_000_000, Window: time.Second, Burst: 100_000_000},
	}); err != nil {
		return err
	}
	s.point, err = openPoint(path)
	return err
}

// Close closes what Open opened; the files stay.
func (s *Stage) Close() error {
	all := []error{s.far.shut()}
	for _, v := range []*verifier.Verifier{s.hit, s.miss} {
		if v != nil {
			all = append(all, v.Close())
		}
	}
	for _, db := range []*sql.DB{s.point, s.scratch} {
		if db != nil {
			all = append(all, db.Close())
		}
	}
	if s.many != nil {
		all = append(all, s.many.Close())
	}
	if s.store != nil {
		all = append(all, s.store.Close())
	}
	return errors.Join(all...)
}

// counted counts the calls of a store. It embeds the store itself, not an interface, so that
// the verifier finds all of its methods.
type counted struct {
	*sqlite.Reader
	keys, feed atomic.Int64
}

func (c *counted) Key(ctx context.Context, id string) (*keys.Key, error) {
	c.keys.Add(1)
	return c.Reader.Key(ctx, id)
}

func (c *counted) Changes(ctx context.Context, since feed.Position) (feed.Changes, error) {
	c.feed.Add(1)
	return c.Reader.Changes(ctx, since)
}

package stdio

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
)

// A Backend serves one command as streamable HTTP. It is safe for concurrent use.
type Backend struct {
	o       Options
	account *account
	passed  []string // variables

	mu       sync.Mutex
	all      map[*session]bool   // each has a child, or takes the place of one
	byID     map[string]*session // with sessions
	byKey    map[string]*session // without sessions
	callers  map[string]*caller  // by key id
	closed   bool
	startErr error     // of the last start
	startAt  time.Time // when that failed
}

var _ http.Handler = (*Backend)(nil)

// New checks the options and starts nothing. After it, other processes of the same user cannot
// read the memory of this one.
func New(o Options) (*Backend, error) {
	o, err := o.complete()
	if err != nil {
		return nil, err
	}
	a, err := accountOf(o)
	if err != nil {
		return nil, err
	}
	passed, err := o.passed()
	if err != nil {
		return nil, err
	}
	if o, err = o.find(a.path(passed)); err != nil {
		return nil, err
	}
	if err := family.open(); err != nil {
		return nil, err
	}
	if !a.switches {
		o.Logger.Warn("the MCP server runs as the user of this process and can read every file that this user can read",
			slog.String("user", a.name))
	}
	return &Backend{
		o: o, account: a, passed: passed,
		all: map[*session]bool{}, byID: map[string]*session{}, byKey: map[string]*session{}, callers: map[string]*caller{},
	}, nil
}

// staleStart is how long a failed start counts. Only a request starts a process, and a guard that
// is not ready gets none: it must become ready again by itself.
const staleStart = 10 * time.Second

// Ready returns why the MCP server cannot be used, as far as is known.
func (b *Backend) Ready() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return errors.New("the guard is stopping")
	}
	if clock().Sub(b.startAt) > staleStart {
		return nil
	}
	return b.startErr
}

// EndKey ends all processes of a key, for a key that may no longer be used.
func (b *Backend) EndKey(keyID string) {
	for _, s := range b.sessions(func(s *session) bool { return s.keyID == keyID }) {
		go s.end("The key of this session has ended.")
	}
}

// Close ends all processes and returns when they have ended. When ctx ends they are killed.
// Further requests are answered 503. Running calls are told why, a clause without a full stop.
func (b *Backend) Close(ctx context.Context, why string) error {
	b.mu.Lock()
	first := !b.closed
	b.closed = true
	b.mu.Unlock()
	list := b.sessions(func(*session) bool { return true })
	for _, s := range list {
		go s.end("Its process was ended: " + why + ".")
	}
	err := b.wait(ctx, list)
	if first {
		family.close()
	}
	return err
}

// wait returns when the sessions have ended; after ctx they are killed.
func (b *Backend) wait(ctx context.Context, list []*session) (err error) {
	for _, s := range list {
		select {
		case <-s.gone:
			continue
		case <-ctx.Done():
			err = ctx.Err()
		}
		<-s.start
		if s.child != nil {
			s.child.kill()
		}
		<-s.gone
	}
	return err
}

func (b *Backend) sessions(which func(*session) bool) (list []*session) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for s := range b.all {
		if which(s) {
			list = append(list, s)
		}
	}
	return list
}

// session returns the session of a client, in use, if it belongs to the key.
func (b *Backend) session(id, keyID string) *session {
	b.mu.Lock()
	s := b.byID[id]
	b.mu.Unlock()
	if id == "" || s == nil || s.keyID != keyID || !s.begin() {
		return nil
	}
	return s
}

// initialize starts a session for a client. It is in use.
func (b *Backend) initialize(ctx context.Context, who *keys.Identity) (*session, error) {
	var random [16]byte
	_, _ = rand.Read(random[:])
	s := newSession(b, hex.EncodeToString(random[:]), who.KeyID())
	s.begin()
	return s, b.launch(ctx, s, who)
}

// ofKey returns the session that the clients of a key share, in use.
func (b *Backend) ofKey(ctx context.Context, who *keys.Identity) (*session, error) {
	owner := who.KeyID()
	b.mu.Lock()
	s := b.byKey[owner]
	if s != nil && s.begin() {
		b.mu.Unlock()
		select {
		case <-s.start:
		case <-ctx.Done():
			s.done()
			return nil, ctx.Err()
		}
		if s.failed != nil {
			s.done()
			return nil, s.failed
		}
		return s, nil
	}
	s = newSession(b, "", who.KeyID())
	s.begin()
	b.byKey[owner] = s
	b.mu.Unlock()
	return s, b.launch(ctx, s, who)
}

// launch starts the child of s once there is a place for it.
func (b *Backend) launch(ctx context.Context, s *session, who *keys.Identity) error {
	err := b.reserve(ctx, s)
	if err == nil {
		err = b.run(s, who.Owner(), who.Name())
	}
	if err == nil {
		close(s.start)
		return nil
	}
	s.failed = err
	s.mu.Lock()
	s.ending = true
	s.mu.Unlock()
	close(s.start)
	b.forget(s)
	close(s.gone)
	return err
}

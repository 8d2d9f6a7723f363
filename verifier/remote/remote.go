package remote

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mcpkeys/mcpkeys/internal/base/protocol"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/feed"
	"github.com/mcpkeys/mcpkeys/verifier"
	"github.com/mcpkeys/mcpkeys/verifier/internal/flight"
)

// Options configures [New]. KeyFile or Key is required.
type Options struct {
	// KeyFile is a file with the verify key: an admin key that was granted only the scope
	// verify, for one audience. It is read again when it changes.
	KeyFile string
	Key     keys.Secret // the verify key itself, if there is no file

	// Audience is the name of the guarded server. It can be left out if the verify key is for
	// one audience.
	Audience string

	// Strict asks the server for each request and remembers nothing. Otherwise a virtual
	// machine that is stopped together with its clocks may use a lease that has ended.
	Strict bool

	InsecureHTTP bool // allow http://, on this machine only

	// ServerUser is the name or number of the user that runs the server behind a unix
	// socket, besides root. Empty means the user of this process.
	ServerUser string

	// Keys is how many keys the verifier remembers, as in [verifier.Options]; 0 means
	// [verifier.DefaultKeys].
	Keys int

	// Transport makes the connections to an https or http server; nil means new ones with
	// the system's certificates and without a proxy. It cannot be combined with a unix socket.
	Transport *http.Transport

	Logger *slog.Logger // hears when the server cannot be used, and when it can again; nil means slog's default
}

// Source is a [verifier.Source] that asks a server. Give it to one verifier.
type Source struct {
	fault  error // why it cannot be opened
	o      Options
	server *server
	epoch  atomic.Uint64 // moves when the server tells of a change
	heard  atomic.Uint64 // an answer from before this position is of no use
	clock  atomic.Pointer[serverTime]
	known  known

	questions flight.Group[[32]byte, *protocol.Answer]
	counts    counts
	asking    chan struct{} // questions under way

	mu      sync.Mutex    // guards what follows
	wake    chan struct{} // is closed when something is to do
	told    uint64        // the position that the last renewal said was applied
	applied uint64
	era     string // of the last answer
	events  streamed
	pace    pace
	logged  logged

	stop    context.CancelFunc
	ctx     context.Context //nolint:containedctx // of what runs from Open to Close
	running sync.WaitGroup
}

var _ verifier.Source = (*Source)(nil)

// serverTime is what the server's clock said, and when that was asked.
type serverTime struct{ told, asked time.Time }

// New returns a source for the server at address: https://host:port, unix:/path/of/socket, or
// http://127.0.0.1:port with [Options.InsecureHTTP]. It sends nothing; what is wrong with the
// options is the error of [verifier.New].
func New(address string, o *Options) *Source {
	if o == nil {
		o = &Options{}
	}
	s := &Source{o: *o, wake: make(chan struct{})}
	if s.o.Logger == nil {
		s.o.Logger = slog.Default()
	}
	if s.o.Keys <= 0 {
		s.o.Keys = verifier.DefaultKeys
	}
	s.known.most = 4 * s.o.Keys
	s.known.instance = protocol.NewInstance()
	s.asking = make(chan struct{}, maxAsking)
	s.counts.source = s
	s.ctx, s.stop = context.WithCancel(context.Background())
	s.server, s.fault = newServer(address, &s.o)
	return s
}

func (s *Source) from() protocol.From {
	return protocol.From{Instance: s.known.instance, Audience: s.o.Audience}
}

// Open implements [verifier.Source]. It reads the verify key, and sends nothing: a guarded program
// starts also if the server is not running yet.
func (s *Source) Open() error {
	if s.fault != nil {
		return s.fault
	}
	if _, err := s.server.credential.read(); err != nil {
		return err
	}
	if !s.o.Strict {
		s.running.Go(s.listen)
	}
	return nil
}

// Close implements [verifier.Source]. The error says that counts could not be delivered.
func (s *Source) Close() error {
	err := s.counts.drain()
	s.stop()
	s.running.Wait()
	if s.server != nil {
		s.server.close()
	}
	return err
}

// Bounds implements [feed.Feed].
func (s *Source) Bounds() feed.Bounds {
	if s.o.Strict {
		return feed.Bounds{Remote: true}
	}
	return feed.Bounds{Lease: feed.Lease, Look: feed.Lease, Remote: true}
}

// Epoch implements [feed.Feed]: a number of this process.
func (s *Source) Epoch() uint64 { return s.epoch.Load() }

// Now implements [verifier.Source]. The way of the question is counted as well, so that a key
// expires too early rather than too late.
func (s *Source) Now(t time.Time) time.Time {
	if c := s.clock.Load(); c != nil {
		return c.told.Add(t.Sub(c.asked))
	}
	return t
}

// Wait implements [verifier.Source].
func (s *Source) Wait(ctx context.Context, epoch uint64) {
	for {
		s.mu.Lock()
		wake, due := s.wake, time.Until(s.pace.next)
		if s.pace.err == nil && (s.applied != s.told || s.epoch.Load() != epoch) {
			due = 0
		}
		s.mu.Unlock()
		if due <= 0 {
			return
		}
		timer := time.NewTimer(due)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
			return
		case <-wake:
			timer.Stop()
		}
	}
}

// now is the time by the clocks of this process: the lease of a verifier is measured by its own,
// and these only pace what is sent.
func now() time.Time { return time.Now() } //nolint:forbidigo // see above

// rouse ends the waiting of Wait.
func (s *Source) rouse() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.wake)
	s.wake = make(chan struct{})
}

// Applied implements [verifier.Source]. The next renewal tells the server, and Wait asks for it
// at once.
func (s *Source) Applied(at feed.Position) {
	s.mu.Lock()
	news := s.applied != at.Word
	s.applied = at.Word
	s.mu.Unlock()
	if news {
		s.rouse()
	}
}

// errClosed is the error of calls after Close.
var errClosed = errors.Join(keys.ErrUnavailable, errors.New("the source is closed"))

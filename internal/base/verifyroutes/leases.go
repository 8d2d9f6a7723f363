package verifyroutes

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/admin/api"
	"github.com/mcpkeys/mcpkeys/internal/base/leases"
	"github.com/mcpkeys/mcpkeys/internal/base/protocol"
	"github.com/mcpkeys/mcpkeys/internal/base/restapi"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/pepper"
	"github.com/mcpkeys/mcpkeys/keys/usage"
	"github.com/mcpkeys/mcpkeys/verifier"
)

// Source is what the routes for verifiers on other hosts need of a source of keys;
// verifier/local has it.
type Source interface {
	Prove(ctx context.Context, q *verifier.Question) (verifier.Proof, error)
	Key(ctx context.Context, id string) (*keys.Key, error)
	AddMessage(ctx context.Context, m *usage.Message) error
}

// LeaseOptions configures [MountLeases]. Nil and the zero value are valid.
type LeaseOptions struct {
	Logger *slog.Logger     // gets the questions that failed; nil discards
	Now    func() time.Time // nil means time.Now

	// ClientIP returns the client address of a request, for the list of verifiers. Nil means
	// the address of the connection.
	ClientIP func(*http.Request) netip.Addr
}

// MountLeases adds the routes of package protocol, and the list of verifiers. Registry grants
// the leases, source reads the key store, and peppers returns its peppers as they are now.
func MountLeases(a *restapi.API, registry *leases.Registry, source Source, peppers func() *pepper.Set, o *LeaseOptions) {
	if o == nil {
		o = &LeaseOptions{}
	}
	l := &lessor{
		api: a, registry: registry, source: source, peppers: peppers,
		logger: o.Logger, now: o.Now, clientIP: o.ClientIP,
	}
	if l.logger == nil {
		l.logger = slog.New(slog.DiscardHandler)
	}
	if l.now == nil {
		l.now = time.Now //nolint:forbidigo // the default clock
	}
	if l.clientIP == nil {
		l.clientIP = peer
	}
	a.Handle(http.MethodPost, protocol.PathLease, keys.ScopeVerify, l.renew)
	a.Handle(http.MethodPost, protocol.PathChanges, keys.ScopeVerify, l.changes)
	a.Handle(http.MethodPost, protocol.PathProve, keys.ScopeVerify, question(l, l.prove))
	a.Handle(http.MethodPost, protocol.PathKey, keys.ScopeVerify, question(l, l.key))
	a.Handle(http.MethodPost, protocol.PathCounts, keys.ScopeVerify, question(l, l.counts))
	restapi.Register(a, huma.Operation{
		OperationID: "listVerifiers", Method: http.MethodGet, Path: "/v1/verifiers", Tags: []string{"verification"},
		Summary: "List the verifiers on other hosts",
		Description: "Guards on other hosts that have a lease of this server. If the key store has several servers, ask each. " +
			"A guard that checks keys in the process of its key store is not in the list.",
		Security: restapi.AdminKey(keys.ScopeAuditRead),
	}, l.list)
}

// lessor answers verifiers on other hosts.
type lessor struct {
	api      *restapi.API
	registry *leases.Registry
	source   Source
	peppers  func() *pepper.Set
	logger   *slog.Logger
	now      func() time.Time
	clientIP func(*http.Request) netip.Addr

	callers callers
	shares  shares
}

// peer is the address of the connection; zero for a Unix socket.
func peer(r *http.Request) netip.Addr {
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return at.Addr().Unmap()
}

// asker is who sends a message: one process of a verify key, for one audience.
type asker struct {
	caller   string // the id of the verify key
	instance protocol.Instance
	audience string
}

// read reads a message into m, which contains from. If it reports false, it has refused the
// request.
func (l *lessor) read(w http.ResponseWriter, r *http.Request, m any, from *protocol.From) (asker, bool) {
	if !l.api.Read(w, r, protocol.MaxMessage, m) {
		return asker{}, false
	}
	by, err := askerOf(r.Context(), from)
	if err != nil {
		l.fail(w, r, err)
		return asker{}, false
	}
	return by, true
}

// question is a route for messages that make the server work: it reads a message, bounds how many
// of one verify key are under way, and sends what do answers.
func question[M any, P interface {
	*M
	Sender() *protocol.From
}, A any](l *lessor, do func(context.Context, *asking, P) (A, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		m := P(new(M))
		by, ok := l.read(w, r, m, m.Sender())
		if !ok {
			return
		}
		u, err := l.callers.enter(by.caller)
		if err != nil {
			l.fail(w, r, err)
			return
		}
		defer l.callers.leave(by.caller, u)
		out, err := do(r.Context(), &asking{by, u}, m)
		if err != nil {
			l.fail(w, r, err)
			return
		}
		l.api.Answer(w, out)
	}
}

// asking is who asks a question, and what its verify key makes the server do now.
type asking struct {
	asker
	underWay *underWay
}

// errNoVerifyKey: a guarded program is exposed, so its key must be of no other use.
var errNoVerifyKey = fmt.Errorf("%w: a guard's key must have the scope verify and no other, and an audience; make one with 'keyctl issue NAME --admin --scope verify --audience AUDIENCE'", keys.ErrDenied)

func askerOf(ctx context.Context, from *protocol.From) (asker, error) {
	if from.Instance == (protocol.Instance{}) {
		return asker{}, &keys.InvalidError{Field: "instance", Reason: "must be a random number of the verifier's process, and not zero"}
	}
	if from.Audience != "" {
		if err := keys.ValidateAudience(from.Audience); err != nil {
			return asker{}, err
		}
	}
	caller, _ := keys.IdentityFrom(ctx)
	if scopes := caller.Scopes(); len(scopes) != 1 || scopes[0] != keys.ScopeVerify || len(caller.Audience()) == 0 {
		return asker{}, errNoVerifyKey
	}
	audience, err := admin.Restrict(nil, caller, nil).Audience(from.Audience)
	return asker{caller.KeyID(), from.Instance, audience}, err
}

// fail refuses r with the problem for err.
func (l *lessor) fail(w http.ResponseWriter, r *http.Request, err error) {
	switch {
	case errors.Is(err, leases.ErrBeyond):
		err = restapi.ErrBeyond
	case errors.Is(err, leases.ErrClosed):
		err = restapi.ErrStopping
	case errors.Is(err, leases.ErrTooMany):
		err = &restapi.BusyError{Detail: "This server has too many streams of changes."}
	}
	l.api.Fail(w, r, err)
}

func (l *lessor) renew(w http.ResponseWriter, r *http.Request) {
	var m protocol.Renewal
	by, ok := l.read(w, r, &m, &m.From)
	if !ok {
		return
	}
	address := ""
	if ip := l.clientIP(r); ip.IsValid() {
		address = ip.String()
	}
	granted, err := l.registry.Renew(r.Context(), leases.Renewal{
		Caller: by.caller, Instance: by.instance, Audience: by.audience,
		Address: address, Agent: usage.AgentOf(r.UserAgent()), Applied: m.Applied, Era: m.Era,
	})
	if err != nil {
		l.fail(w, r, err)
		return
	}
	l.api.Answer(w, granted)
}

// changes is a stream of server-sent events, each of which is one [protocol.Event]. It ends when the
// verify key may no longer be used, and when the registry closes.
func (l *lessor) changes(w http.ResponseWriter, r *http.Request) {
	var m protocol.Renewal // of which only From counts
	by, ok := l.read(w, r, &m, &m.From)
	if !ok {
		return
	}
	held, release := l.api.Hold(r.Context())
	defer release()
	ctx, done, err := l.registry.Stream(held, by.caller, by.instance)
	if err != nil {
		l.fail(w, r, err)
		return
	}
	defer done()
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no")
	l.send(ctx, http.NewResponseController(w), w, by.instance)
}

// eventWithin is how long a reader may take for one event. A slower one is cut off.
const eventWithin = 5 * time.Second

// send writes events until ctx ends or the reader is too slow. Each event has a deadline of
// its own, because the server's deadlines are for whole requests. What changes while a reader is
// waited for is one event.
func (l *lessor) send(ctx context.Context, conn *http.ResponseController, w http.ResponseWriter, to protocol.Instance) {
	_ = conn.SetReadDeadline(time.Time{}) // otherwise the end of the request's time would end ctx
	var at leases.Place
	for {
		news, err := l.follow(ctx, at)
		if err != nil {
			return
		}
		event := signOfLife
		if news.Place != at {
			event = eventOf(at, &news, to)
		}
		at = news.Place
		_ = conn.SetWriteDeadline(time.Now().Add(eventWithin)) //nolint:forbidigo // of the network, not of a key
		if _, err := w.Write(event); err != nil || conn.Flush() != nil {
			return
		}
	}
}

var signOfLife = []byte(": \n\n")

// eventOf is what a verifier that stands at a place is told.
func eventOf(at leases.Place, news *leases.News, to protocol.Instance) []byte {
	e := protocol.Event{Era: news.Era, To: news.Position, Imported: news.Imported}
	if news.IDs != nil {
		e.From = at.Position
	}
	for _, id := range news.IDs {
		e.Drop = append(e.Drop, to.TagOf(id))
	}
	text, _ := json.Marshal(e) // it has only texts and numbers
	return append(append([]byte("data: "), text...), "\n\n"...)
}

// follow returns what is new, or the same place when it is time for a sign of life.
func (l *lessor) follow(ctx context.Context, at leases.Place) (leases.News, error) {
	beat, cancel := context.WithTimeout(ctx, protocol.HeartEvery)
	defer cancel()
	news, err := l.registry.Follow(beat, at)
	if err != nil && ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
		return leases.News{Place: at}, nil
	}
	return news, err
}

// passMessage is what a pass is computed of: each part after its length, so that no two
// messages are alike. It names the secret: one that was proved says nothing about the key's other
// secrets.
func (by *asker) passMessage(keyID string, secret int64) []byte {
	var out []byte
	for _, part := range []string{by.caller, string(by.instance[:]), keyID} {
		out = binary.BigEndian.AppendUint32(out, uint32(len(part))) //nolint:gosec // ids are short
		out = append(out, part...)
	}
	return binary.BigEndian.AppendUint64(out, uint64(secret)) //nolint:gosec // any number
}

func (l *lessor) passOf(by *asker, keyID string, secret int64) protocol.Pass {
	whole := l.peppers().Pass(by.passMessage(keyID, secret))
	return protocol.Pass(whole[:len(protocol.Pass{})])
}

func (l *lessor) isPass(by *asker, keyID string, secret int64, pass protocol.Pass) bool {
	return keys.ValidID(keyID) && l.peppers().IsPass(by.passMessage(keyID, secret), pass[:])
}

type verifiersOutput struct{ Body api.Verifiers }

func (l *lessor) list(context.Context, *struct{}) (*verifiersOutput, error) {
	out := &verifiersOutput{api.Verifiers{Data: []api.Verifier{}}}
	for _, v := range l.registry.List() {
		out.Body.Data = append(out.Body.Data, api.Verifier(v))
	}
	return out, nil
}

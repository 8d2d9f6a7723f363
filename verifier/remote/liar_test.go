package remote_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/internal/base/protocol"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/feed"
	"github.com/mcpkeys/mcpkeys/verifier"
	"github.com/mcpkeys/mcpkeys/verifier/remote"
)

// liar is a server that answers as a test wants it to, also as our server never does. It knows
// one key.
type liar struct {
	*httptest.Server
	t *testing.T

	mu       sync.Mutex
	position protocol.Position
	revoked  protocol.Position // the position of the key's revocation; zero: it is good
	granted  func(*protocol.Renewal, *protocol.Granted)
	answered func(*protocol.Answer)
	stream   func(w http.ResponseWriter, r *http.Request, tag protocol.Tag) // tag is that of the key
	status   int                                                            // of all answers, if not zero

	token    keys.Token
	renewals atomic.Int64
	proofs   atomic.Int64
	counts   []protocol.Counts
	applied  atomic.Uint64
}

// era is the era of the liar's renewals.
const era = "era"

func newLiar(t *testing.T) *liar {
	t.Helper()
	l := &liar{t: t, position: 1<<48 | 5, token: keys.NewToken(keys.KindKey)}
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+protocol.PathLease, l.lease)
	mux.HandleFunc("POST "+protocol.PathProve, l.prove)
	mux.HandleFunc("POST "+protocol.PathKey, l.prove)
	mux.HandleFunc("POST "+protocol.PathCounts, l.count)
	mux.HandleFunc("POST "+protocol.PathChanges, l.changes)
	l.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		l.mu.Lock()
		status := l.status
		l.mu.Unlock()
		if status != 0 {
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(status)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(func() { l.CloseClientConnections(); l.Close() })
	return l
}

// set changes what the server says.
func (l *liar) set(change func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change()
}

func (l *liar) lease(w http.ResponseWriter, r *http.Request) {
	var m protocol.Renewal
	_ = json.NewDecoder(r.Body).Decode(&m)
	l.renewals.Add(1)
	l.applied.Store(uint64(m.Applied))
	l.mu.Lock()
	g := protocol.Granted{Position: l.position, Imported: true, Time: time.Now(), Lease: feed.Lease.Milliseconds(), Era: era}
	if l.revoked > m.Applied {
		g.Drop = []protocol.Tag{m.Instance.TagOf(l.token.ID())}
	}
	change := l.granted
	l.mu.Unlock()
	if change != nil {
		change(&m, &g)
	}
	_ = json.NewEncoder(w).Encode(g)
}

func (l *liar) prove(w http.ResponseWriter, r *http.Request) {
	var m struct {
		Token string `json:"token"`
		KeyID string `json:"key_id"`
	}
	_ = json.NewDecoder(r.Body).Decode(&m)
	l.proofs.Add(1)
	l.mu.Lock()
	a := protocol.Answer{Position: l.position, Time: time.Now(), KeyID: l.token.ID()}
	if m.Token == l.token.Secret().Reveal() || m.KeyID != "" {
		a.Secret, a.Pass = 1, &protocol.Pass{1}
		a.Key = &protocol.Key{
			ID: l.token.ID(), Kind: "key", Name: "ci", Scopes: []string{"tools:get_*"}, Version: 1, Secrets: []protocol.Secret{{Number: 1}},
		}
		if l.revoked != 0 {
			a.Key.RevokedAt, a.Key.Version = time.Now(), 2
		}
	}
	change := l.answered
	l.mu.Unlock()
	if change != nil {
		change(&a)
	}
	_ = json.NewEncoder(w).Encode(a)
}

func (l *liar) count(w http.ResponseWriter, r *http.Request) {
	var m protocol.Counts
	_ = json.NewDecoder(r.Body).Decode(&m)
	l.set(func() { l.counts = append(l.counts, m) })
	_, _ = w.Write([]byte("{}"))
}

func (l *liar) changes(w http.ResponseWriter, r *http.Request) {
	l.mu.Lock()
	own := l.stream
	l.mu.Unlock()
	if own != nil {
		var m protocol.Renewal
		_ = json.NewDecoder(r.Body).Decode(&m)
		own(w, r, m.Instance.TagOf(l.token.ID()))
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	_ = http.NewResponseController(w).Flush()
	<-r.Context().Done()
}

func (l *liar) options(change func(*remote.Options)) *remote.Options {
	o := &remote.Options{Key: keys.NewToken(keys.KindAdmin).Secret(), Audience: "weather", InsecureHTTP: true}
	if change != nil {
		change(o)
	}
	return o
}

// verifier is one that asks the server.
func (l *liar) verifier(change func(*remote.Options)) *verifier.Verifier {
	l.t.Helper()
	v, err := verifier.New(remote.New(l.URL, l.options(change)), nil)
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { _ = v.Close() })
	return v
}

func (l *liar) check(v *verifier.Verifier) keys.Decision {
	return v.Authenticate(l.t.Context(), l.token.Secret().Reveal(), verifier.Call{Audience: "weather"})
}

// until waits for a condition.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// tell sends an event of the stream.
func tell(w http.ResponseWriter, e protocol.Event) {
	text, _ := json.Marshal(e)
	event(w, "data: "+string(text)+"\n\n")
}

func event(w http.ResponseWriter, text string) {
	_, _ = fmt.Fprint(w, text)
	_ = http.NewResponseController(w).Flush()
}

func mustSay(t *testing.T, err error, words ...string) {
	t.Helper()
	for _, word := range words {
		if err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("got %v, want words like %q", err, word)
		}
	}
}

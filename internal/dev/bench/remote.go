package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime"
	"slices"
	"time"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/internal/app/server"
	"github.com/mcpkeys/mcpkeys/internal/base/leases"
	"github.com/mcpkeys/mcpkeys/internal/base/protocol"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/store"
	"github.com/mcpkeys/mcpkeys/verifier"
	"github.com/mcpkeys/mcpkeys/verifier/remote"
)

// far is a server over the few keys, and verifiers that ask it over loopback.
type far struct {
	url    string
	key    keys.Secret // of the verifiers
	hit    *verifier.Verifier
	strict *verifier.Verifier
	close  []func() error // the last one first
}

const floorTrip = "FloorRoundTrip"

func (s *Stage) openFar(ctx context.Context) error {
	s.far = &far{}
	slot, err := s.store.TakeSlot()
	if err != nil {
		return err
	}
	registry := leases.New(s.store, slot, nil)
	s.far.close = append(s.far.close, registry.Close)
	o := &server.Options{Leases: registry}
	own, err := server.NewVerifier(s.store, o)
	if err != nil {
		return err
	}
	s.far.close = append(s.far.close, own.Close)
	addr, stop, err := listen(ctx, server.API(s.store, own, o).Handler())
	if err != nil {
		return err
	}
	s.far.close = append(s.far.close, func() error { stop(); return nil })
	issued, err := s.manager.Issue(ctx, admin.IssueRequest{
		Name: "guards", Kind: keys.KindAdmin, Scopes: []string{keys.ScopeVerify}, Audience: []string{audience},
	})
	if err != nil {
		return err
	}
	s.far.url, s.far.key = "http://"+addr, issued.Token
	if s.far.hit, err = s.far.verifier(false); err != nil {
		return err
	}
	if s.far.strict, err = s.far.verifier(true); err != nil {
		return err
	}
	for _, t := range s.tokens {
		if d := s.far.hit.Authenticate(ctx, t, call); !d.Valid() {
			return fmt.Errorf("%w: %s: %w", errWrong, d.Code, d.Cause)
		}
	}
	return nil
}

func (f *far) verifier(strict bool) (*verifier.Verifier, error) {
	v, err := verifier.New(remote.New(f.url, &remote.Options{
		Key: f.key, Audience: audience, InsecureHTTP: true, Strict: strict, Logger: slog.New(slog.DiscardHandler),
	}), nil)
	if err == nil {
		f.close = append(f.close, v.Close)
	}
	return v, err
}

// shut closes everything; f may be nil.
func (f *far) shut() (err error) {
	if f == nil {
		return nil
	}
	for _, one := range slices.Backward(f.close) {
		err = errors.Join(err, one())
	}
	return err
}

// remotes are the cases over loopback.
func (s *Stage) remotes(ctx context.Context) ([]Case, error) {
	trip, err := s.roundTrip(ctx)
	if err != nil {
		return nil, err
	}
	return []Case{
		{Name: "RemoteHit", Floor: "VerifyHit", Promise: 1.25, Slack: 1.6, NoAllocs: true, Run: s.remoteHit(ctx)},
		{Name: "RemoteMiss", Floor: floorTrip, Run: s.remoteMiss(ctx)},
		{Name: floorTrip, Run: trip},
	}, nil
}

// remoteHit checks one remembered key under a lease, as VerifyHit does.
func (s *Stage) remoteHit(ctx context.Context) func(int) error {
	return func(n int) error {
		for range n {
			d := s.far.hit.Authenticate(ctx, s.tokens[0], call)
			if !d.Valid() || !d.Identity.Allows(needed) {
				return fmt.Errorf("%w: %s: %w", errWrong, d.Code, d.Cause)
			}
		}
		return nil
	}
}

// remoteMiss asks the server for each check.
func (s *Stage) remoteMiss(ctx context.Context) func(int) error {
	next := 0
	return func(n int) error {
		for range n {
			d := s.far.strict.Authenticate(ctx, s.tokens[next%few], call)
			next++
			if !d.Valid() || !d.Identity.Allows(needed) {
				return fmt.Errorf("%w: %s: %w", errWrong, d.Code, d.Cause)
			}
		}
		return nil
	}
}

// roundTrip posts the bytes of a question to a handler that answers with the bytes of an answer,
// and reads neither.
func (s *Stage) roundTrip(ctx context.Context) (func(int) error, error) {
	question, err := json.Marshal(protocol.Question{From: protocol.From{Audience: audience}, Token: s.tokens[0]})
	if err != nil {
		return nil, err
	}
	answer, err := json.Marshal(protocol.Answer{ //nolint:gosec // an empty pass
		Time: time.Now(), Secret: 1, Pass: &protocol.Pass{},
		Key: &protocol.Key{ID: "012345678901", Kind: "key", Name: "issued-1", Owner: "bench", Scopes: []string{"tools:get_*", "tools:search", "prompts:*"}, Audience: []string{audience}, CreatedAt: time.Now(), ExpiresAt: time.Now(), Secrets: []protocol.Secret{{Number: 1}}},
	})
	if err != nil {
		return nil, err
	}
	addr, stop, err := listen(ctx, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = w.Write(answer)
	}))
	if err != nil {
		return nil, err
	}
	s.far.close = append(s.far.close, func() error { stop(); return nil })
	client := &http.Client{Transport: &http.Transport{}}
	return func(n int) error {
		for range n {
			r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+addr, bytes.NewReader(question))
			if err != nil {
				return err
			}
			resp, err := client.Do(r)
			if err != nil {
				return err
			}
			_, err = io.Copy(io.Discard, resp.Body)
			if err := errors.Join(err, resp.Body.Close()); err != nil {
				return err
			}
		}
		return nil
	}, nil
}

// Spread is what it costs to have many verifiers on other hosts.
type Spread struct {
	Verifiers  int
	Heap       float64 // bytes for each, in both processes' parts together
	Goroutines float64 // for each
	Work       float64 // of one processor, for the renewals of all
	Revokes    []time.Duration
}

// Spread connects so many verifiers over loopback, and revokes keys that all of them remember:
// the times are those of the whole change, with its commit.
func (s *Stage) Spread(ctx context.Context, verifiers, revokes int) (Spread, error) {
	out := Spread{Verifiers: verifiers}
	if s.far == nil {
		if err := s.openFar(ctx); err != nil {
			return out, err
		}
	}
	before, running := heap(), runtime.NumGoroutine()
	var all []*verifier.Verifier
	for range verifiers {
		v, err := s.far.verifier(false)
		if err != nil {
			return out, err
		}
		all = append(all, v)
	}
	if err := s.allAccept(ctx, all, s.tokens[0]); err != nil {
		return out, err
	}
	time.Sleep(time.Second) // their streams open
	out.Heap, out.Goroutines = (heap()-before)/float64(verifiers), float64(runtime.NumGoroutine()-running)/float64(verifiers)
	const quiet = 5 * time.Second
	spent := processorTime()
	time.Sleep(quiet)
	out.Work = float64(processorTime()-spent) / float64(quiet)
	for range revokes {
		issued, err := s.issue(ctx)
		if err != nil {
			return out, err
		}
		if err := s.allAccept(ctx, all, issued.Token.Reveal()); err != nil {
			return out, err
		}
		w := &store.Wait{}
		begun := time.Now()
		if _, err := s.manager.Revoke(store.WithWait(ctx, w), issued.Key.ID, "bench"); err != nil {
			return out, err
		}
		out.Revokes = append(out.Revokes, time.Since(begun))
		if w.Unheard > 0 {
			return out, errors.New("a revocation waited for a verifier that did not answer")
		}
		for _, v := range all {
			if d := v.Authenticate(ctx, issued.Token.Reveal(), call); d.Code != keys.CodeRevoked {
				return out, fmt.Errorf("%w: %s after the revocation returned", errWrong, d.Code)
			}
		}
	}
	slices.Sort(out.Revokes)
	return out, nil
}

func (s *Stage) allAccept(ctx context.Context, all []*verifier.Verifier, token string) error {
	for _, v := range all {
		if d := v.Authenticate(ctx, token, call); !d.Valid() {
			return fmt.Errorf("%w: %s: %w", errWrong, d.Code, d.Cause)
		}
	}
	return nil
}

// heap is what is in use after a collection, in bytes.
func heap() float64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapInuse + m.StackInuse)
}

// PrintSpread writes one line for each.
func PrintSpread(w io.Writer, list []Spread) {
	for _, s := range list {
		fmt.Fprintf(w, "%5d verifiers: %.0f KB and %.1f goroutines each, both sides together; renewals %.2f of a processor", s.Verifiers, s.Heap/1024, s.Goroutines, s.Work)
		if n := len(s.Revokes); n > 0 {
			fmt.Fprintf(w, "; %d revocations, in effect everywhere after p50 %v, p99 %v, max %v", n,
				s.Revokes[n/2].Round(10*time.Microsecond), s.Revokes[n*99/100].Round(10*time.Microsecond), s.Revokes[n-1].Round(10*time.Microsecond))
		}
		fmt.Fprintln(w)
	}
}

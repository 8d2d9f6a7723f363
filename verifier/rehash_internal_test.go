package verifier

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
)

// stalled renews nothing until it is let go, and counts.
type stalled struct {
	letGo         chan struct{}
	at, most, all atomic.Int64
}

func (s *stalled) Rehash(context.Context, *keys.Rehash, time.Time) error {
	s.most.Store(max(s.most.Load(), s.at.Add(1)))
	<-s.letGo
	s.at.Add(-1)
	s.all.Add(1)
	return nil
}

// A22. The attack, or a busy Monday after a pepper was added: more secrets are proved
// than the disk takes. What waits is bounded, one is written at a time, and a secret
// that waits already does not wait twice.
func TestA22RehashesAreBounded(t *testing.T) {
	old, err := keys.GeneratePeppers()
	if err != nil {
		t.Fatal(err)
	}
	peppers, _, err := old.Add()
	if err != nil {
		t.Fatal(err)
	}
	s := &stalled{letGo: make(chan struct{})}
	q := &rehashes{store: s, clock: time.Now, elapsed: func() time.Duration { return 0 }}
	for range 3 * maxRehashes {
		token := keys.NewToken(keys.KindKey)
		k := &keys.Key{ID: token.ID(), Secrets: []keys.KeySecret{{Number: 1, Scheme: keys.SchemeHMAC, PepperID: old.Current()}}}
		job := peppers.Rehash(k, &k.Secrets[0], token.Secret())
		q.offer(job)
		q.offer(job)
	}
	q.mu.Lock()
	waiting, queued := len(q.waiting), len(q.queued)
	q.mu.Unlock()
	if waiting > maxRehashes || queued > maxRehashes+1 || waiting < maxRehashes-1 {
		t.Errorf("got %d waiting, %d noted, want %d", waiting, queued, maxRehashes)
	}
	close(s.letGo)
	for {
		q.mu.Lock()
		over := !q.running
		q.mu.Unlock()
		if over {
			break
		}
	}
	q.close()
	if all, most := s.all.Load(), s.most.Load(); all > maxRehashes+1 || all < maxRehashes || most != 1 || len(q.queued) != 0 {
		t.Errorf("got %d written, %d at once, %d still noted; want about %d, 1, 0", all, most, len(q.queued), maxRehashes)
	}
	q.offer(peppers.Rehash(&keys.Key{ID: "x"}, &keys.KeySecret{Scheme: keys.SchemeHMAC, PepperID: old.Current()}, keys.NewSecret("t")))
	if q.running {
		t.Error("something is written after close")
	}
}

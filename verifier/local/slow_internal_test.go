package local

import (
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"github.com/mcpkeys/mcpkeys/keys"
)

// TestA6QueueIsBounded: a client that knows many ids cannot fill the memory with waiting
// requests. While no slow hash is computed, the allowed number waits, and all are refused in
// the end.
func TestA6QueueIsBounded(t *testing.T) {
	hash, err := bcrypt.GenerateFromPassword([]byte("s3cret"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	secret := &keys.KeySecret{Number: 1, Scheme: keys.SchemeBcrypt, Digest: hash}
	slots := make(chan struct{}, 1)
	slots <- struct{}{}
	s, err := newSlowHashes(slots)
	if err != nil {
		t.Fatal(err)
	}
	const clients = 40
	var answered atomic.Int64
	for i := range clients {
		go func() {
			proven, err := s.proves(t.Context(), secret, fmt.Sprintf("api%d.s3cret", i))
			if proven || !errors.Is(err, keys.ErrUnavailable) {
				t.Errorf("got %v, %v, want unavailable", proven, err)
			}
			answered.Add(1)
		}()
	}
	most, highest := maxSlowQueue+cap(slots), 0
	for answered.Load() < clients {
		s.mu.Lock()
		highest = max(highest, s.total)
		s.mu.Unlock()
		runtime.Gosched()
	}
	if highest == 0 || highest > most {
		t.Errorf("up to %d waited, want some and at most %d", highest, most)
	}
}

package guardtest

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
)

// useLog keeps what a verifier counted.
type useLog struct {
	mu   sync.Mutex
	uses []keys.Use
}

// AddUse implements [keys.UseLog].
func (l *useLog) AddUse(_ context.Context, uses []keys.Use) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.uses = append(l.uses, uses...)
	return nil
}

// Usage implements [keys.UseLog]; tests ask [Keyring.Counted].
func (l *useLog) Usage(context.Context, string, time.Time) (keys.Usage, error) {
	return keys.Usage{}, nil
}

// Counted ends the verifier and returns what it counted of all keys: calls by "code",
// and by "code scope".
func (k *Keyring) Counted() map[string]int64 {
	k.t.Helper()
	if err := k.verifier.Close(); err != nil {
		k.t.Fatalf("Close: %v", err)
	}
	k.uses.mu.Lock()
	defer k.uses.mu.Unlock()
	out := map[string]int64{}
	for _, use := range k.uses.uses {
		for _, c := range use.Counts {
			name := string(c.Code)
			if c.Scope != "" {
				name = fmt.Sprintf("%s %s", c.Code, c.Scope)
			}
			out[name] += c.Calls
		}
	}
	return out
}

// LastUse is the newest use of any key that was counted; call [Keyring.Counted] first.
func (k *Keyring) LastUse() keys.LastUse {
	k.uses.mu.Lock()
	defer k.uses.mu.Unlock()
	var all keys.Usage
	for _, use := range k.uses.uses {
		all.Last = append(all.Last, use.Last...)
	}
	return all.LastUsed()
}

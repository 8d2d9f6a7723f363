package guardtest

import (
	"strings"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/usage"
	"github.com/mcpkeys/mcpkeys/store"
)

// Counted ends the verifier and returns what it counted of all keys: calls by "code",
// and by "code scope".
func (k *Keyring) Counted() map[string]int64 {
	k.t.Helper()
	if err := k.verifier.Close(); err != nil {
		k.t.Fatalf("Close: %v", err)
	}
	out := map[string]int64{}
	for _, c := range k.usage().Counts {
		out[strings.TrimSpace(string(c.Code)+" "+c.Scope)] += c.Calls
	}
	return out
}

// Denials ends the verifier and returns what it sampled of refusals.
func (k *Keyring) Denials() []usage.Denial {
	k.t.Helper()
	if err := k.verifier.Close(); err != nil {
		k.t.Fatalf("Close: %v", err)
	}
	list, err := k.store.Denials(k.t.Context(), store.DenialQuery{})
	if err != nil {
		k.t.Fatalf("Denials: %v", err)
	}
	return list
}

// LastUse is the newest use of any key that was counted; call [Keyring.Counted] first.
func (k *Keyring) LastUse() keys.LastUse { return k.usage().LastUsed() }

// usage is that of all keys together.
func (k *Keyring) usage() (all usage.Usage) {
	k.t.Helper()
	page, err := k.store.List(k.t.Context(), keys.Query{Limit: keys.MaxLimit})
	if err != nil {
		k.t.Fatalf("List: %v", err)
	}
	for _, key := range page.Keys {
		one, err := k.store.Usage(k.t.Context(), key.ID, time.Time{})
		if err != nil {
			k.t.Fatalf("Usage: %v", err)
		}
		all.Last, all.Counts = append(all.Last, one.Last...), append(all.Counts, one.Counts...)
	}
	return all
}

package scale_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/internal/dev/scale"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/audit"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
	"github.com/mcpkeys/mcpkeys/verifier"
	"github.com/mcpkeys/mcpkeys/verifier/local"
)

// Every key is complete: its seal is valid, its token is valid, its audit row is in the chain.
func TestFill(t *testing.T) {
	const n = 300
	path := filepath.Join(t.TempDir(), "keys.db")
	if err := scale.Fill(t.Context(), path, n, time.Now()); err != nil {
		t.Fatalf("Fill: %v", err)
	}
	s, err := sqlite.Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	tokens, err := scale.Tokens(path, n)
	if err != nil {
		t.Fatalf("Tokens: %v", err)
	}
	v, err := verifier.New(local.New(s, nil), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = v.Close() }()
	codes := map[keys.Code]int{}
	for _, token := range tokens {
		codes[v.Authenticate(t.Context(), token, verifier.Call{Any: true}).Code]++
	}
	if codes[keys.CodeRevoked] == 0 || codes[keys.CodeDisabled] == 0 || codes[keys.CodeExpired] == 0 {
		t.Errorf("got %v, want some revoked, disabled and expired", codes)
	}
	if good := codes[keys.CodeValid]; good < n/2 || codes[keys.CodeRevoked]+codes[keys.CodeDisabled]+codes[keys.CodeExpired]+good != n {
		t.Errorf("got %v, want all else good", codes)
	}
	events, err := s.Events(t.Context(), 0, n+2)
	if err != nil || len(events) != n+1 { // the last is that of the import
		t.Fatalf("Events: got %d, %v, want %d", len(events), err, n+1)
	}
	if _, err := audit.VerifyChain(func(yield func(audit.Event, error) bool) {
		for _, e := range events {
			if !yield(e, nil) {
				return
			}
		}
	}); err != nil {
		t.Errorf("VerifyChain: %v", err)
	}
	if err := scale.Fill(t.Context(), path, 1, time.Now()); err == nil {
		t.Error("Fill over a key store: got no error")
	}
}

// Package scale makes very large key stores, to find out what becomes slow. It is for
// benchmarks and two small programs, and is not part of the product:
//
//	go run ./internal/dev/scale/fill big.db 1000000
//	go run ./internal/dev/scale/measure big.db
//
// [Fill] makes the store, [FillWith] one with changed keys, and [Tokens] returns tokens that
// are valid in it. Every key is complete: issued through the store's own code, sealed, with its
// audit row and its events. The keys vary as in real use: a thousand owners, ages of up to a
// year in an order independent of the ids, some revoked, disabled and expired, and one scope
// and one owner that few keys have.
//
// It protects nothing: the tokens are in a file beside the database. Never fill a store that is
// in use, and never guard anything with a filled one.
package scale

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/audit"
	"github.com/mcpkeys/mcpkeys/keys/pepper"
	"github.com/mcpkeys/mcpkeys/store"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
)

// batch is how many keys share a transaction.
const batch = 20_000

// Fill makes a key store of n keys at path, which must not exist, and a file with all of their
// tokens at path + ".tokens". The youngest key is made just before now.
func Fill(ctx context.Context, path string, n int, now time.Time) error {
	return FillWith(ctx, path, n, now, nil)
}

// FillWith is Fill for keys that shape changes before they are sealed: it gets the i-th key as
// Fill makes it. Nil changes none.
func FillWith(ctx context.Context, path string, n int, now time.Time, shape func(i int, k *keys.Key)) error {
	if err := sqlite.Create(path, nil); err != nil {
		return err
	}
	s, err := sqlite.Open(path, nil)
	if err != nil {
		return err
	}
	tokens := make([]keys.Token, n)
	for i := range tokens {
		tokens[i] = keys.NewToken(keys.KindKey)
	}
	if err := errors.Join(writeTokens(path, tokens), fill(ctx, s, tokens, now, shape)); err != nil {
		return errors.Join(err, s.Close())
	}
	return s.Close()
}

// fill writes the keys in the order of their ids; otherwise each would change another page of
// the database.
func fill(ctx context.Context, s *sqlite.Store, tokens []keys.Token, now time.Time, shape func(i int, k *keys.Key)) error {
	sorted := slices.SortedFunc(slices.Values(tokens), func(a, b keys.Token) int { return strings.Compare(a.ID(), b.ID()) })
	m := maker{peppers: s.Peppers(), now: now.UTC().Truncate(time.Microsecond), shape: shape}
	done := func(int) (audit.Event, error) {
		return audit.NewEvent(ctx, "local:scale(0)", audit.ActionImportDone, m.now, nil)
	}
	for first := 0; first < len(sorted); first += batch {
		part := sorted[first:min(first+batch, len(sorted))]
		m.batch = pepper.NewBatchID()
		if err := s.CreateAll(ctx, store.NewKeys{Batch: m.batch, Actor: "local:scale(0)", Done: done}, m.keys(first, part)); err != nil {
			return err
		}
	}
	return nil
}

func writeTokens(path string, tokens []keys.Token) error {
	f, err := os.OpenFile(tokenFile(path), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("write tokens: %w", err)
	}
	w := bufio.NewWriter(f)
	for _, t := range tokens {
		_, _ = w.WriteString(t.Secret().Reveal() + "\n") // Flush reports it
	}
	return errors.Join(w.Flush(), f.Close())
}

func tokenFile(path string) string { return path + ".tokens" }

// Tokens returns n tokens of the store that [Fill] made at path, in no order.
func Tokens(path string, n int) ([]string, error) {
	f, err := os.Open(tokenFile(path))
	if err != nil {
		return nil, fmt.Errorf("read tokens: %w", err)
	}
	defer func() { _ = f.Close() }() // only read
	const line = keys.TokenLen + 1
	text := make([]byte, n*line)
	if _, err := io.ReadFull(f, text); err != nil {
		return nil, fmt.Errorf("read %d tokens of %s: %w", n, path, err)
	}
	return strings.Fields(string(text)), nil
}

// maker makes keys.
type maker struct {
	peppers *pepper.Set
	now     time.Time
	batch   []byte
	shape   func(i int, k *keys.Key)
}

// keys makes the keys that follow the first ones.
func (m *maker) keys(first int, tokens []keys.Token) iter.Seq2[*keys.Key, audit.Event] {
	return func(yield func(*keys.Key, audit.Event) bool) {
		for i, t := range tokens {
			k := m.key(first+i, t)
			e := audit.Event{
				ID: uuid.Must(uuid.NewV7()), At: k.CreatedAt, Actor: k.CreatedBy, Action: audit.ActionIssue,
				KeyID: k.ID, RequestID: uuid.NewString(), Detail: `{"after":{"name":"` + k.Name + `"}}`,
			}
			if !yield(k, e) {
				return
			}
		}
	}
}

// age scatters the keys over a year, in no order.
func age(i int) time.Duration {
	const year = 365 * 24 * time.Hour / time.Microsecond
	return time.Duration(uint64(i)*0x9E3779B97F4A7C15%uint64(year)) * time.Microsecond //nolint:gosec // i is not negative
}

// key makes the i-th key, always the same but for its token.
func (m *maker) key(i int, t keys.Token) *keys.Key {
	digest, pepperID := m.peppers.Digest(t.Secret())
	made := m.now.Add(-age(i))
	k := &keys.Key{
		ID: t.ID(), Kind: keys.KindKey, Name: fmt.Sprintf("service-%07d", i), Owner: Owner(i),
		Scopes: []string{"tools:get_*", "tools:search"}, Audience: []string{fmt.Sprintf("server-%02d", i%20)},
		RateLimit: keys.RateLimit{Count: 60, Window: time.Minute, Burst: 60},
		CreatedAt: made, CreatedBy: "local:scale(0)", Batch: m.batch, ExpiresAt: made.Add(400 * 24 * time.Hour), Version: 1,
		Secrets: []keys.KeySecret{{Number: 1, Scheme: keys.SchemeHMAC, PepperID: pepperID, Digest: digest[:], CreatedAt: made}},
	}
	switch {
	case i%RareEvery == RareEvery/2:
		k.Scopes = append(k.Scopes, RareScope)
		k.Audience = append(k.Audience, RareAudience)
	case i%20 == 1:
		k.RevokedAt, k.RevokedReason = m.now, "scale"
	case i%50 == 2:
		k.DisabledAt = m.now
	case i%10 == 3:
		k.ExpiresAt = made.Add(time.Minute)
	}
	if m.shape != nil {
		m.shape(i, k)
	}
	m.peppers.Seal(k)
	return k
}

// What few keys have: one in RareEvery.
const (
	RareEvery    = 50_000
	RareScope    = "tools:rare"
	RareAudience = "server-rare"
)

// Owner is the owner of the i-th key: one of a thousand, a few of them with few keys.
func Owner(i int) string {
	if i%RareEvery == RareEvery/2 {
		return "rare-owner"
	}
	return fmt.Sprintf("team-%03d", i%1000)
}

package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/mcpkeys/mcpkeys/internal/dev/scale"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
	"github.com/mcpkeys/mcpkeys/verifier"
	"github.com/mcpkeys/mcpkeys/verifier/local"
)

const (
	perPage  = 50
	deepPage = 5000
	repeats  = 9
)

func measure(ctx context.Context, path string) error {
	tokens, err := scale.Tokens(path, verifier.DefaultKeys)
	if err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	row("file", fmt.Sprintf("%d MiB", info.Size()>>20))
	if err := opening(path); err != nil {
		return err
	}
	r, err := sqlite.OpenVerifier(path, nil)
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }() // it ends with the process
	row("memory (RSS) of a process that has opened it", resident())
	if err := checking(ctx, r, tokens); err != nil {
		return err
	}
	if err := reading(ctx, r, tokens); err != nil {
		return err
	}
	return listing(ctx, r)
}

func opening(path string) error {
	err := timed("open to write", func() error {
		s, err := sqlite.Open(path, nil)
		if err != nil {
			return err
		}
		return s.Close()
	})
	if err != nil {
		return err
	}
	return timed("open to verify", func() error {
		r, err := sqlite.OpenVerifier(path, nil)
		if err != nil {
			return err
		}
		return r.Close()
	})
}

// checking checks each token once, so that as many keys as possible are remembered.
func checking(ctx context.Context, r *sqlite.Reader, tokens []string) error {
	v, err := verifier.New(local.New(r, nil), nil)
	if err != nil {
		return err
	}
	began := time.Now()
	if d := v.Authenticate(ctx, tokens[0], verifier.Call{Any: true}); d.Code == keys.CodeUnavailable {
		return fmt.Errorf("the first check: %w", d.Cause)
	}
	row("first check", time.Since(began).Round(time.Microsecond))
	began = time.Now()
	for _, token := range tokens {
		v.Authenticate(ctx, token, verifier.Call{Any: true})
	}
	row(fmt.Sprintf("check of a key that is not remembered, mean of %d", len(tokens)), (time.Since(began) / time.Duration(len(tokens))).Round(100*time.Nanosecond))
	row(fmt.Sprintf("memory with %d keys remembered", len(tokens)), resident())
	return v.Close()
}

func reading(ctx context.Context, r *sqlite.Reader, tokens []string) error {
	began := time.Now()
	for _, token := range tokens {
		id, _ := keys.TokenID(token)
		if _, err := r.Key(ctx, id); err != nil {
			return err
		}
	}
	row(fmt.Sprintf("read of one key, mean of %d", len(tokens)), (time.Since(began) / time.Duration(len(tokens))).Round(100*time.Nanosecond))
	return nil
}

// listing asks for pages that match many keys, few keys and none.
func listing(ctx context.Context, r *sqlite.Reader) error {
	deep, err := cursor(ctx, r, (deepPage-1)*perPage)
	if err != nil {
		return err
	}
	owner, rare, nobody := scale.Owner(7), scale.Owner(scale.RareEvery/2), "none"
	now := time.Now()
	for _, l := range []struct {
		what string
		q    keys.Query
	}{
		{"page 1", keys.Query{}},
		{fmt.Sprintf("page %d", deepPage), keys.Query{Cursor: deep}},
		{"owner of 1,000 keys", keys.Query{Owner: &owner}},
		{"owner of 20 keys", keys.Query{Owner: &rare}},
		{"owner of none", keys.Query{Owner: &nobody}},
		{"search in names, common", keys.Query{Search: "service-0"}},
		{"search in names, one key has it", keys.Query{Search: "0654321"}},
		{"search in owners, 20 keys have it", keys.Query{Search: "rare-o"}},
		{"search for nothing that is there", keys.Query{Search: "not there"}},
		{"exact name", keys.Query{Name: "service-0654321", Unrevoked: true}},
		{"exact name of no key", keys.Query{Name: "not there", Unrevoked: true}},
		{"exact name and owner", keys.Query{Name: "service-0654320", Owner: ptr(scale.Owner(654320)), Unrevoked: true}},
		{"prefix of an id", keys.Query{IDPrefix: "abcdef"}},
		{"scope, common", keys.Query{Scope: "tools:search"}},
		{"scope that 20 keys have", keys.Query{Scope: scale.RareScope}},
		{"scope of no key", keys.Query{Scope: "tools:none"}},
		{"audience of 50,000 keys", keys.Query{Audience: "server-07"}},
		{"audience of 20 keys", keys.Query{Audience: scale.RareAudience}},
		{"audience of no key", keys.Query{Audience: "none"}},
		{"status active", keys.Query{Status: keys.StatusActive, Now: now}},
		{"status expiring", keys.Query{Status: keys.StatusExpiring, Now: now}},
		{"status expired", keys.Query{Status: keys.StatusExpired, Now: now}},
		{"status disabled", keys.Query{Status: keys.StatusDisabled, Now: now}},
		{"status revoked", keys.Query{Status: keys.StatusRevoked, Now: now}},
		{"admin keys, none", keys.Query{Kind: keys.KindAdmin}},
		{"expiring within a week", keys.Query{ExpiresBy: now.Add(7 * 24 * time.Hour)}},
	} {
		l.q.Limit = perPage
		if err := timed("list: "+l.what, func() error { _, err := r.List(ctx, l.q); return err }); err != nil {
			return err
		}
	}
	return nil
}

func ptr[T any](v T) *T { return &v }

// cursor walks to the place behind the first n keys.
func cursor(ctx context.Context, r *sqlite.Reader, n int) (string, error) {
	q := keys.Query{}
	for n > 0 {
		q.Limit = min(n, keys.MaxLimit)
		page, err := r.List(ctx, q)
		if err != nil {
			return "", err
		}
		n, q.Cursor = n-len(page.Keys), page.Next
		if page.Next == "" {
			return "", fmt.Errorf("the store is too small: %d keys short of page %d", n, deepPage)
		}
	}
	return q.Cursor, nil
}

// timed prints the first and the median time of do.
func timed(what string, do func() error) error {
	var took []time.Duration
	for range repeats {
		began := time.Now()
		if err := do(); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		took = append(took, time.Since(began))
	}
	first := took[0]
	slices.Sort(took)
	row(what, fmt.Sprintf("%v, first time %v", took[repeats/2].Round(10*time.Microsecond), first.Round(10*time.Microsecond)))
	return nil
}

func row(what string, figure any) { fmt.Printf("| %s | %v |\n", what, figure) }

// resident is how much memory the process holds, as the kernel counts it.
func resident() string {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return "unknown here"
	}
	for line := range strings.Lines(string(text)) {
		if kb, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			var n int
			if _, err := fmt.Sscan(kb, &n); err == nil {
				return fmt.Sprintf("%d MiB", n>>10)
			}
		}
	}
	return "unknown here"
}

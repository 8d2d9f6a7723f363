package admin_test

import (
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/audit"
)

func TestParseAction(t *testing.T) {
	for text, want := range map[string]audit.Action{
		"revoke": audit.ActionRevoke, "key.revoke": audit.ActionRevoke, "store.restore": audit.ActionRestore, "pepper.add": audit.ActionPepperAdd,
	} {
		if got, err := audit.ParseAction(text); err != nil || got != want {
			t.Errorf("ParseAction(%q): got %q, %v, want %q", text, got, err, want)
		}
	}
	for _, text := range []string{"", "bogus", "key.bogus", "restore", ".", "key.", ".revoke", "Revoke", "a.b.c", "rev oke", "revoke\n", "révoke", strings.Repeat("a", 40)} {
		_, err := audit.ParseAction(text)
		var invalid *keys.InvalidError
		if !errors.As(err, &invalid) || invalid.Field != "action" {
			t.Errorf("ParseAction(%q): got %v, want an InvalidError of action", text, err)
		}
	}
}

// Chain reads every page of the log, and stops reading when its caller breaks off.
func TestChainReadsPages(t *testing.T) {
	m, store := newManager(t)
	const n = 2*keys.MaxLimit + 1
	for i := range n {
		mustIssue(t, m, admin.IssueRequest{Name: "key " + strconv.Itoa(i)})
	}
	head, err := audit.VerifyChain(audit.Chain(t.Context(), store, 0))
	if err != nil || head.Seq != n {
		t.Errorf("VerifyChain of Chain: got %v, %v, want row %d", head, err, n)
	}
	read := 0
	for _, err := range audit.Chain(t.Context(), store, n-3) {
		if err != nil {
			t.Fatal(err)
		}
		read++
	}
	if read != 3 {
		t.Errorf("Chain behind the last but three: got %d rows, want 3", read)
	}
	for e, err := range audit.Chain(t.Context(), store, 0) {
		if err != nil || e.Seq != 1 {
			t.Errorf("Chain: got row %d, %v first, want 1", e.Seq, err)
		}
		break
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := audit.VerifyChain(audit.Chain(t.Context(), store, 0)); !errors.Is(err, keys.ErrUnavailable) {
		t.Errorf("Chain of a closed store: got %v, want ErrUnavailable", err)
	}
}

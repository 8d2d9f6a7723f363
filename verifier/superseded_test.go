package verifier_test

import (
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/admin/importing"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/verifier"
)

// TestB5SupersededIsRefused: a secret that a rotation ended is told by its number, and is
// refused, whether the verifier remembers the key or has to ask for it.
func TestB5SupersededIsRefused(t *testing.T) {
	b := newBench(t)
	id, old := b.issue(t, admin.IssueRequest{Name: "ci"})
	b.want(t, old, verifier.Call{}, keys.CodeValid)
	zero := admin.RotateRequest{Grace: new(time.Duration)}
	rotated, err := b.manager.Rotate(t.Context(), id, zero)
	if err != nil {
		t.Fatal(err)
	}
	b.want(t, rotated.Token.Reveal(), verifier.Call{}, keys.CodeValid)
	for range 2 {
		d := b.want(t, old, verifier.Call{}, keys.CodeSuperseded)
		if d.KeyID != id || d.Secret != 1 || d.Identity != nil {
			t.Errorf("got %+v, want secret 1 of key %s and no identity", d, id)
		}
	}
	b.want(t, rotated.Token.Reveal(), verifier.Call{}, keys.CodeValid)
}

// TestB5SupersededTokenOfAnotherSystem: a token that was imported, and that a rotation
// ended, is told as what it is, and does not come back by another import.
func TestB5SupersededTokenOfAnotherSystem(t *testing.T) {
	b := newBench(t)
	b.imports(t, "ci", strongToken, "", "")
	d := b.want(t, strongToken, from("192.0.2.1"), keys.CodeValid)
	id := d.KeyID
	if _, err := b.manager.Rotate(t.Context(), id, admin.RotateRequest{Grace: new(time.Duration)}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		d := b.want(t, strongToken, from("192.0.2.1"), keys.CodeSuperseded)
		if d.KeyID != id || d.Secret != 1 || d.Identity != nil {
			t.Errorf("got %+v, want secret 1 of key %s and no identity", d, id)
		}
	}
	row := func(yield func(importing.Row, error) bool) {
		yield(importing.Row{Line: 1, Key: keys.NewSecret(strongToken), IssueRequest: admin.IssueRequest{Name: "again"}}, nil)
	}
	if report, err := importing.Import(t.Context(), b.manager.(*admin.Local), row, importing.Options{}); err == nil {
		t.Errorf("Import of the superseded token: got %+v, want it refused", report)
	}
	b.want(t, strongToken, from("192.0.2.1"), keys.CodeSuperseded)
}

// TestUnknownIDsDoEqualWork: a stranger sends a secret for an id that exists, and one for an
// id that does not. The store is asked the same for both, so the time that it takes does not
// tell which ids exist.
func TestUnknownIDsDoEqualWork(t *testing.T) {
	b := newBench(t)
	id, _ := b.issue(t, admin.IssueRequest{Name: "ci"})
	asked := map[string][2]int64{}
	for name, id := range map[string]string{"known": id, "unknown": "nobodyhasit1"} {
		reads, others := b.reader.reads.Load(), b.reader.others.Load()
		text := "mcpk_" + id + "_" + keys.NewToken(keys.KindKey).Secret().Reveal()[18:48]
		b.want(t, withCheck(text), from("192.0.2.1"), keys.CodeNotFound)
		asked[name] = [2]int64{b.reader.reads.Load() - reads, b.reader.others.Load() - others}
	}
	if asked["known"] != asked["unknown"] || asked["known"][0] != 1 || asked["known"][1] != 1 {
		t.Errorf("the store was asked for keys and superseded secrets %v times, want once each", asked)
	}
}

package storetest

import (
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/keys/audit"
)

func countsMayBeWritten(t *testing.T, f *fixture) {
	if err := f.store.MayCount(); err != nil {
		t.Errorf("MayCount of a store that takes writes: %v", err)
	}
}

// The handle that checks secrets is also the one that renews their digests.
func provedDigestIsRenewed(t *testing.T, f *fixture) {
	m := f.manager(f.store)
	issued, err := m.Issue(t.Context(), admin.IssueRequest{Name: "old"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.AddPepper(t.Context()); err != nil {
		t.Fatalf("AddPepper: %v", err)
	}
	s := f.another()
	before := f.key(s, issued.Key.ID)
	peppers := s.Peppers()
	job := peppers.Rehash(before, peppers.Verify(before, issued.Token), issued.Token)
	if job == nil {
		t.Fatal("a secret under the old pepper needs no new digest")
	}
	for range 2 { // the second time there is nothing left to do
		if err := s.Rehash(t.Context(), job, f.now.Add(time.Minute)); err != nil {
			t.Fatalf("Rehash: %v", err)
		}
	}
	after := f.key(f.store, before.ID)
	if got, want := after.Secrets[0].PepperID, peppers.Current(); got != want {
		t.Errorf("Rehash: the digest is under pepper %s, want %s", got, want)
	}
	if secret := f.store.Peppers().Verify(after, issued.Token); secret == nil || secret.Number != 1 {
		t.Error("Rehash: the secret is no longer the key's")
	}
	if err := f.store.Peppers().CheckSeal(after); err != nil {
		t.Errorf("Rehash: %v", err)
	}
	if after.Version != before.Version {
		t.Errorf("Rehash: version %d, want %d: the key is what it was", after.Version, before.Version)
	}
	rows := 0
	for _, e := range f.events() {
		if e.Action == audit.ActionRehash && e.KeyID == before.ID {
			rows++
		}
	}
	if rows != 1 {
		t.Errorf("Rehash: got %d audit rows, want 1", rows)
	}
}

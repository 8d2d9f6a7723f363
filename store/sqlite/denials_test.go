package sqlite_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
)

func someDenial() keys.Denial {
	return keys.Denial{Minute: time.Now().UTC().Truncate(time.Minute), Code: keys.CodeRevoked, KeyID: "aaaaaaaaaaaa", Proved: true, Calls: 1}
}

// A usage file that an older mcpkeys made is read as it is, with its counts and without
// denials, and becomes one of today when somebody writes, the counts still in it.
func TestUsageFileOfVersion1(t *testing.T) {
	path := create(t)
	s := open(t, path)
	id := issue(t, s, keys.IssueRequest{Name: "a"}).Key.ID
	if err := s.AddUse(t.Context(), []keys.Use{{KeyID: id, Counts: []keys.UseCount{{Hour: time.Now(), Code: keys.CodeValid, Calls: 5}}}}); err != nil {
		t.Fatal(err)
	}
	db := shell(t, path+".usage")
	mustExec(t, db, `DROP TABLE denied`)
	mustExec(t, db, `PRAGMA user_version = 1`)

	for _, one := range []keys.Reader{open(t, path), openVerifier(t, path)} {
		if got, err := one.Denials(t.Context(), keys.DenialQuery{}); err != nil || len(got) != 0 {
			t.Errorf("Denials of version 1: got %v, %v, want none", got, err)
		}
		if n, err := total(t, one, id); err != nil || n != 5 {
			t.Errorf("Usage of version 1: got %d, %v, want 5", n, err)
		}
	}
	v := openVerifier(t, path)
	if err := v.AddDenials(t.Context(), []keys.Denial{someDenial()}); err != nil {
		t.Fatalf("AddDenials to version 1: %v", err)
	}
	if got, err := s.Denials(t.Context(), keys.DenialQuery{}); err != nil || len(got) != 1 {
		t.Errorf("Denials after the upgrade: got %v, %v, want one", got, err)
	}
	if n, err := total(t, s, id); err != nil || n != 5 {
		t.Errorf("Usage after the upgrade: got %d, %v, want 5", n, err)
	}
	if err := s.AddDenials(t.Context(), []keys.Denial{someDenial()}); err != nil {
		t.Errorf("AddDenials by a handle that was open before: %v", err)
	}
}

// A28. The attack: with a database shell somebody writes what a terminal obeys into the
// file of statistics. A network and an agent are that or nothing.
func TestA28PlantedDenials(t *testing.T) {
	path := create(t)
	s := open(t, path)
	if err := s.AddDenials(t.Context(), []keys.Denial{someDenial()}); err != nil {
		t.Fatal(err)
	}
	mustExec(t, shell(t, path+".usage"), `UPDATE denied SET source = char(27) || '[2J', agent = char(27) || '[2J'`)
	got, err := s.Denials(t.Context(), keys.DenialQuery{})
	if err != nil || len(got) != 1 || got[0].Source.IsValid() || got[0].Agent != "" {
		t.Errorf("Denials: got %+v, %v, want neither a source nor an agent", got, err)
	}
	mustExec(t, shell(t, path+".usage"), `UPDATE denied SET minute = 9223372036854775807`)
	if got, err := s.Denials(t.Context(), keys.DenialQuery{}); err != nil || len(got) != 0 {
		t.Errorf("Denials of no calendar: got %v, %v, want none", got, err)
	}
	if err := os.Remove(path + ".usage"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Denials(t.Context(), keys.DenialQuery{}); err == nil || !strings.Contains(err.Error(), "no usage file") {
		t.Errorf("Denials without a usage file: got %v, want it said", err)
	}
}

package sqlite_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/usage"
	"github.com/mcpkeys/mcpkeys/store"
)

func someDenial() usage.Denial {
	return usage.Denial{Minute: time.Now().UTC().Truncate(time.Minute), Code: keys.CodeRevoked, KeyID: "aaaaaaaaaaaa", Proved: true, Calls: 1}
}

// A28. The attack: a database shell writes terminal control sequences into the usage file. A
// network or agent that is not valid is shown as empty.
func TestA28PlantedDenials(t *testing.T) {
	path := create(t)
	s := open(t, path)
	if err := s.AddDenials(t.Context(), []usage.Denial{someDenial()}); err != nil {
		t.Fatal(err)
	}
	mustExec(t, shell(t, path+".usage"), `UPDATE denied SET source = char(27) || '[2J', agent = char(27) || '[2J'`)
	got, err := s.Denials(t.Context(), store.DenialQuery{})
	if err != nil || len(got) != 1 || got[0].Source.IsValid() || got[0].Agent != "" {
		t.Errorf("Denials: got %+v, %v, want neither a source nor an agent", got, err)
	}
	mustExec(t, shell(t, path+".usage"), `UPDATE denied SET minute = 9223372036854775807`)
	if got, err := s.Denials(t.Context(), store.DenialQuery{}); err != nil || len(got) != 0 {
		t.Errorf("Denials of no calendar: got %v, %v, want none", got, err)
	}
	if err := os.Remove(path + ".usage"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Denials(t.Context(), store.DenialQuery{}); err == nil || !strings.Contains(err.Error(), "no usage file") {
		t.Errorf("Denials without a usage file: got %v, want it said", err)
	}
}

package sqlite_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/usage"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
)

// TestYearOfUse counts 1,000 keys for a year, each with four counts in every hour: requests,
// and three scopes. The file must stay small. The counts of a day are written by five
// statements and not by 17,280 flushes; the days are summed up by real flushes.
func TestYearOfUse(t *testing.T) {
	const days, keysUsed, each, most = 365, 1000, 4, 150 << 20
	path := create(t)
	begin := time.Now().UTC().Truncate(24 * time.Hour)
	now := begin
	s, err := sqlite.Open(path, &sqlite.Options{Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	uses := make([]usage.Use, keysUsed)
	for i := range uses {
		uses[i].KeyID = keys.NewToken(keys.KindKey).ID()
		uses[i].Last = []keys.LastUse{{Secret: 1, At: now, Agent: "curl/8.5.0"}}
		for _, scope := range []string{"", "tools:get_forecast", "tools:search", "tools:list_orders"} {
			uses[i].Counts = append(uses[i].Counts, usage.Count{Code: keys.CodeValid, Scope: scope})
		}
	}
	for day := range days {
		now = begin.Add(time.Duration(day) * 24 * time.Hour)
		if day > 0 {
			mustExec(t, s.UsageWriter(), `INSERT INTO hours (day, series) SELECT ?, n FROM series`, now.Unix()/86400)
			uses = uses[:1]
		}
		for i := range uses {
			for j := range uses[i].Counts {
				uses[i].Counts[j].Hour, uses[i].Counts[j].Calls = now, 1
			}
		}
		if err := s.AddUse(t.Context(), uses); err != nil {
			t.Fatal(err)
		}
		for hour := 0; hour < 24; hour += 6 {
			var set []string
			for h := hour; h < hour+6; h++ {
				set = append(set, fmt.Sprintf("h%02d = 1 + abs(random() %% 500)", h))
			}
			mustExec(t, s.UsageWriter(), `UPDATE hours SET `+strings.Join(set, ", ")+` WHERE day = ?`, now.Unix()/86400)
		}
	}
	u, err := s.Usage(t.Context(), uses[0].KeyID, begin)
	sums := 0
	for _, c := range u.Counts {
		if c.Day {
			sums++
		}
	}
	if want := each * (days - 91); err != nil || sums != want || len(u.Counts) != want+each*91*24 {
		t.Errorf("Usage: got %d counts of days and %d of hours, %v, want %d and %d", sums, len(u.Counts)-sums, err, want, each*91*24)
	}
	mustExec(t, s.UsageWriter(), `PRAGMA wal_checkpoint(TRUNCATE)`)
	info, err := os.Stat(path + ".usage")
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("a year of %d keys with %d counts an hour: %d MiB", keysUsed, each, info.Size()>>20)
	if info.Size() > most {
		t.Errorf("got a file of %d MiB, want at most %d", info.Size()>>20, most>>20)
	}
}

package sqlite_test

import (
	"crypto/rand"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/usage"
)

// BenchmarkAddUse is one flush of 10,000 keys that were all used since the last one:
// a last use, a count of requests and one of a scope each. New is the first of an
// hour, when every row is inserted; again is any other, when every row is updated.
func BenchmarkAddUse(b *testing.B) {
	s := open(b, create(b))
	start := time.Now().UTC().Truncate(time.Hour)
	uses := make([]usage.Use, 10_000)
	ids := make([]string, len(uses))
	for i := range ids {
		ids[i] = rand.Text()[:keys.IDLen]
	}
	flush := func(at time.Time) {
		hour := at.Truncate(time.Hour)
		for i := range uses {
			uses[i] = usage.Use{
				KeyID: ids[i], Last: []keys.LastUse{{Secret: 1, At: at, Agent: "curl/8.5.0"}},
				Counts: []usage.Count{{Hour: hour, Code: keys.CodeValid, Calls: 3}, {Hour: hour, Code: keys.CodeValid, Scope: "tools:get_forecast", Calls: 3}},
			}
		}
		if err := s.AddUse(b.Context(), uses); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("new", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			flush(start.Add(time.Duration(i) * time.Hour))
		}
	})
	b.Run("again", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			flush(start.Add(time.Duration(i) * time.Millisecond))
		}
	})
	b.Run("read", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			if _, err := s.Usage(b.Context(), ids[i%len(ids)], start); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkListUsed lists a page with its last uses; unused is the first page of those
// keys that were not used, of which the list holds one in a thousand; none is the
// answer when all were used, for which every key must be looked at.
func BenchmarkListUsed(b *testing.B) {
	r, _ := full(b)
	usage := shell(b, r.Path()+".usage")
	mustExec(b, usage, `ATTACH ? AS keys`, r.Path())
	mustExec(b, usage, `INSERT INTO last_used SELECT id, 1, 4000000000000000, '', 'curl' FROM keys.keys WHERE created_at % 1000 <> 0`)
	list := func(b *testing.B, q keys.Query) {
		b.Helper()
		for b.Loop() {
			if _, err := r.List(b.Context(), q); err != nil {
				b.Fatal(err)
			}
		}
	}
	future := time.Now().Add(time.Hour)
	b.Run("page", func(b *testing.B) { list(b, keys.Query{}) })
	b.Run("unused", func(b *testing.B) { list(b, keys.Query{UnusedBy: future}) })
	mustExec(b, usage, `INSERT INTO last_used SELECT id, 2, 4000000000000000, '', 'curl' FROM keys.keys`)
	b.Run("none", func(b *testing.B) { list(b, keys.Query{UnusedBy: future}) })
}

package keys

import (
	"errors"
	"testing"
	"time"
)

// A new secret that was never used gives way to a newer one: which one may go, and what
// is left of the grace, in every case. Another rotation may come between the look and
// the change, which no test from outside can arrange.
func TestRotateReplacesTheUnused(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	end := now.Add(time.Hour)
	for name, row := range map[string]struct {
		grace   time.Duration
		unused  int64
		want    []int64 // numbers; nil means a conflict
		wantEnd time.Time
	}{
		"the old one keeps its deadline": {grace: 24 * time.Hour, unused: 7, want: []int64{4, 8}, wantEnd: end},
		"or gets an earlier one":         {grace: time.Minute, unused: 7, want: []int64{4, 8}, wantEnd: now.Add(time.Minute)},
		"or none at all":                 {grace: 0, unused: 7, want: []int64{8}},
		"a used one stays":               {grace: time.Hour, unused: 0},
		"another one was meant":          {grace: time.Hour, unused: 6},
		"the old one was meant":          {grace: time.Hour, unused: 4},
	} {
		k := &Key{Secrets: []KeySecret{{Number: 4, ExpiresAt: end}, {Number: 7}}}
		err := k.rotate(KeySecret{CreatedAt: now}, row.grace, row.unused)
		if row.want == nil {
			if !errors.Is(err, ErrConflict) || len(k.Secrets) != 2 || k.Secrets[1].Number != 7 {
				t.Errorf("%s: got %v, %v, want a conflict and no change", name, k.Secrets, err)
			}
			continue
		}
		if err != nil || len(k.Secrets) != len(row.want) {
			t.Errorf("%s: got %v, %v, want secrets %v", name, k.Secrets, err, row.want)
			continue
		}
		for i, number := range row.want {
			if k.Secrets[i].Number != number {
				t.Errorf("%s: got secret %d, want %d", name, k.Secrets[i].Number, number)
			}
		}
		if len(row.want) == 2 && !k.Secrets[0].ExpiresAt.Equal(row.wantEnd) {
			t.Errorf("%s: the old secret ends at %v, want %v", name, k.Secrets[0].ExpiresAt, row.wantEnd)
		}
	}
}

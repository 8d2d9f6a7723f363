package keys_test

import (
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
)

func TestLasting(t *testing.T) {
	soon := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	later := soon.Add(time.Hour)
	for _, c := range []struct {
		ends []time.Time
		want int64
	}{{nil, 0}, {[]time.Time{soon}, 1}, {[]time.Time{soon, {}}, 2}, {[]time.Time{{}, later}, 1}, {[]time.Time{later, soon}, 1}, {[]time.Time{soon, later}, 2}} {
		k := &keys.Key{}
		for i, at := range c.ends {
			k.Secrets = append(k.Secrets, keys.KeySecret{Number: int64(i + 1), ExpiresAt: at})
		}
		got := int64(0)
		if s := k.Lasting(); s != nil {
			got = s.Number
		}
		if got != c.want {
			t.Errorf("Lasting of secrets that end %v: got %d, want %d", c.ends, got, c.want)
		}
	}
}

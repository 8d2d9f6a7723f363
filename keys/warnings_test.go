package keys_test

import (
	"strings"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
)

func TestWarnings(t *testing.T) {
	careful := keys.Key{
		Kind: keys.KindKey, Scopes: []string{"tools:get_*"}, Audience: []string{"weather"}, ExpiresAt: time.Unix(1, 0), Version: 1,
	}
	if got := careful.Warnings(time.Unix(0, 0)); len(got) > 0 {
		t.Errorf("Warnings of a careful key: got %q, want none", got)
	}
	for _, tc := range []struct {
		change func(*keys.Key)
		want   string
	}{
		{func(k *keys.Key) { k.Audience = nil }, "every server"},
		{func(k *keys.Key) { k.Scopes = nil }, "no scopes"},
		{func(k *keys.Key) { k.ExpiresAt = time.Time{} }, "never expires"},
		{func(k *keys.Key) { k.Version = 2 }, "in less than 14 days"},
		{func(k *keys.Key) { k.ExpiresAt = time.Unix(0, 0) }, "has expired"},
	} {
		k := careful
		tc.change(&k)
		if got := k.Warnings(time.Unix(0, 0)); len(got) != 1 || !strings.Contains(got[0], tc.want) {
			t.Errorf("Warnings: got %q, want one with %q", got, tc.want)
		}
	}
	admin := careful
	admin.Kind, admin.Audience = keys.KindAdmin, nil
	if got := admin.Warnings(time.Unix(0, 0)); len(got) > 0 {
		t.Errorf("Warnings of an admin key: got %q, want none: it opens no server", got)
	}
}

package storetest

import (
	"errors"
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/store"
)

// full sets every field of a key, each to something that is easily damaged. Batch is
// for CreateAll to set.
func full(f *fixture) func(*keys.Key) {
	at := f.now.Add(time.Hour)
	return func(k *keys.Key) {
		k.Kind, k.Owner = keys.KindAdmin, "Zoë & Söhne <ops>"
		k.Scopes = []string{"tools:get_*", "tools:<b>&", "*"}
		k.Audience = []string{"weather", "https://mcp.example/mcp?a=1&b=%2F"}
		k.AllowedIPs = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::/32"), netip.MustParsePrefix("0.0.0.0/0")}
		k.RateLimit = keys.RateLimit{Count: 60, Window: time.Minute + time.Nanosecond, Burst: 7}
		k.OwnerID = []byte("\x00\xff'\"%16 bytes...")
		k.MaxConcurrent, k.FinishWhenQuiet, k.MaxKeyLife = 1<<20, 36*time.Hour+time.Microsecond, 366*24*time.Hour
		k.Metadata = map[string]string{"team": `"quoted" \ and 'quoted'`, "empty": "", "日本": "🔑"}
		k.CreatedBy = "key:AbCdEfGhIjKl"
		k.ExpiresAt, k.DisabledAt, k.RevokedAt = at, at.Add(time.Microsecond), at.Add(2*time.Microsecond)
		k.RevokedReason = "lost; 100% sure"
		k.Version = 1 << 40
		k.Secrets[0].Lookup, k.Secrets[0].ExpiresAt = append([]byte{0, 1, 255}, k.ID...), at
		k.Secrets = append(k.Secrets, keys.KeySecret{
			Number: 2, Scheme: "sha256", PepperID: f.store.Peppers().Current(), Digest: []byte{0}, CreatedAt: at,
		})
	}
}

func everyFieldComesBack(t *testing.T, f *fixture) {
	want := f.create("full", full(f))
	for _, unset := range unsetFields(*want, "Batch") {
		t.Errorf("the test leaves out Key.%s, so nothing holds a store to it", unset)
	}
	for name, s := range map[string]store.Store{"same handle": f.store, "other handle": f.another()} {
		got := f.key(s, want.ID)
		if d := diff(want, got); d != "" {
			t.Errorf("Key, %s (-want +got):\n%s", name, d)
		}
		if err := s.Peppers().CheckSeal(got); err != nil {
			t.Errorf("CheckSeal, %s: %v", name, err)
		}
	}
	if d := diff([]*keys.Key{want}, f.all(keys.Query{})); d != "" {
		t.Errorf("List (-want +got):\n%s", d)
	}
	updated := f.mustUpdate(want.ID, func(k *keys.Key) { k.RevokedReason = "other" })
	want.RevokedReason, want.Version, want.Seal = "other", want.Version+1, updated.Seal
	if d := diff(want, updated); d != "" {
		t.Errorf("Update (-want +got):\n%s", d)
	}
	if d := diff(want, f.key(f.store, want.ID)); d != "" {
		t.Errorf("Key after Update (-want +got):\n%s", d)
	}
}

// unsetFields returns the names of the fields of v, a struct, that are zero, but for those left out.
func unsetFields(v any, leftOut ...string) (names []string) {
	for field, value := range reflect.ValueOf(v).Fields() {
		if value.IsZero() && !slices.Contains(leftOut, field.Name) {
			names = append(names, field.Name)
		}
	}
	return names
}

func unsetComesBackUnset(t *testing.T, f *fixture) {
	want := f.create("bare", nil)
	got := f.key(f.store, want.ID)
	if d := diff(want, got); d != "" {
		t.Errorf("Key (-want +got):\n%s", d)
	}
	for name, at := range map[string]time.Time{
		"ExpiresAt": got.ExpiresAt, "DisabledAt": got.DisabledAt, "RevokedAt": got.RevokedAt,
		"Secrets[0].ExpiresAt": got.Secrets[0].ExpiresAt,
	} {
		if !at.IsZero() {
			t.Errorf("%s: got %v, want zero", name, at)
		}
	}
	// 1970 is an instant like any other, and set.
	epoch := f.create("epoch", func(k *keys.Key) { k.ExpiresAt = time.UnixMicro(0).UTC() })
	if got := f.key(f.store, epoch.ID).ExpiresAt; got.IsZero() || !got.Equal(time.UnixMicro(0)) {
		t.Errorf("ExpiresAt 1970: got %v", got)
	}
}

func emptyComesBackNil(t *testing.T, f *fixture) {
	k := f.create("empty", func(k *keys.Key) {
		k.Scopes, k.Audience, k.AllowedIPs = []string{}, []string{}, []netip.Prefix{}
		k.Metadata = map[string]string{}
	})
	got := f.key(f.store, k.ID)
	if got.Scopes != nil || got.Audience != nil || got.AllowedIPs != nil || got.Metadata != nil {
		t.Errorf("Key: got %#v, want nil lists", got)
	}
	if err := f.store.Peppers().CheckSeal(got); err != nil {
		t.Errorf("CheckSeal: %v", err)
	}
}

func timesAreUTCMicroseconds(t *testing.T, f *fixture) {
	zone := time.FixedZone("far", 13*60*60+30*60)
	for _, at := range []time.Time{
		time.Date(2026, 3, 29, 2, 30, 0, 999_999_999, zone),
		time.Date(9999, 12, 31, 23, 59, 59, 999_999_000, time.UTC),
		time.Date(1901, 1, 1, 0, 0, 0, 1000, zone),
	} {
		k := f.create("at "+at.Format(time.DateOnly), func(k *keys.Key) { k.CreatedAt, k.ExpiresAt = at, at })
		got := f.key(f.store, k.ID)
		want := at.UTC().Truncate(time.Microsecond)
		if got.CreatedAt != want || got.ExpiresAt != want {
			t.Errorf("%v: got %v and %v, want %v", at, got.CreatedAt, got.ExpiresAt, want)
		}
	}
	for _, e := range f.events() {
		if e.At.Location() != time.UTC {
			t.Errorf("event %d: got %v, want UTC", e.Seq, e.At.Location())
		}
	}
}

func idsAreCaseSensitive(t *testing.T, f *fixture) {
	for _, id := range []string{"abcdefghijkl", "ABCDEFGHIJKL"} {
		f.create(id+"'s", func(k *keys.Key) { k.ID = id })
	}
	for _, id := range []string{"abcdefghijkl", "ABCDEFGHIJKL"} {
		if got := f.key(f.store, id); got.Name != id+"'s" {
			t.Errorf("Key(%q): got %q", id, got.Name)
		}
		f.wantList("IDPrefix "+id[:6], keys.Query{IDPrefix: id[:6]}, id+"'s")
	}
	if _, err := f.store.Key(t.Context(), "Abcdefghijkl"); !errors.Is(err, keys.ErrNotFound) {
		t.Errorf("Key in mixed case: got %v, want ErrNotFound", err)
	}
	f.wantList("IDPrefix in mixed case", keys.Query{IDPrefix: "Abcdef"})
}

func copiesAreIndependent(t *testing.T, f *fixture) {
	given := f.create("copy", full(f))
	want := f.key(f.store, given.ID)
	spoil := func(k *keys.Key) {
		k.Name, k.Scopes[0], k.Audience[0], k.Metadata["team"] = "spoilt", "spoilt", "spoilt", "spoilt"
		k.Secrets[0].Digest[0] ^= 1
		k.Seal.MAC[0] ^= 1
	}
	listed := f.all(keys.Query{})[0]
	var kept *keys.Key
	updated := f.mustUpdate(given.ID, func(k *keys.Key) { kept = k })
	want.Version, want.Seal = updated.Version, f.key(f.store, given.ID).Seal
	for _, k := range []*keys.Key{given, listed, kept, updated, f.key(f.store, given.ID)} {
		spoil(k)
	}
	if d := diff(want, f.key(f.store, given.ID)); d != "" {
		t.Errorf("a caller's copy changed the store (-want +got):\n%s", d)
	}
}

func unknownIsNotFound(t *testing.T, f *fixture) {
	f.create("known", nil)
	before := f.state()
	for _, id := range []string{"", "x", "000000000000", "00000000000\x00", "ключключключ"} {
		if _, err := f.store.Key(t.Context(), id); !errors.Is(err, keys.ErrNotFound) {
			t.Errorf("Key(%q): got %v, want ErrNotFound", id, err)
		}
		if _, err := f.update(f.store, id, func(*keys.Key) { t.Errorf("Update(%q) called change", id) }); !errors.Is(err, keys.ErrNotFound) {
			t.Errorf("Update(%q): got %v, want ErrNotFound", id, err)
		}
	}
	f.wantSame("unknown ids", before)
}

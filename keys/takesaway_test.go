package keys_test

import (
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
)

var takenStart = time.Date(2026, 11, 27, 9, 0, 0, 0, time.UTC)

// takenKey is a key that has a limit in every field that can have one.
func takenKey() *keys.Key {
	return &keys.Key{
		ID: "abcdefghijkl", Kind: keys.KindKey, Name: "ci", Owner: "ops", OwnerID: []byte{1},
		Scopes: []string{"tools:a", "tools:get_*"}, Audience: []string{"one"},
		AllowedIPs: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")},
		RateLimit:  keys.RateLimit{Count: 60, Window: time.Minute, Burst: 30}, Metadata: map[string]string{"a": "b"},
		MaxConcurrent: 5, FinishWhenQuiet: time.Hour,
		CreatedAt: takenStart, CreatedBy: "test", ExpiresAt: takenStart.Add(time.Hour), Version: 1,
		Secrets: []keys.KeySecret{{Number: 1, Scheme: keys.SchemeHMAC, PepperID: "p", Digest: []byte{1}, Lookup: []byte{2}, CreatedAt: takenStart, ExpiresAt: takenStart.Add(time.Minute)}},
		Seal:    keys.Seal{Format: 1, PepperID: "p", MAC: []byte{1}},
	}
}

// takenEdits has, for each field, edits that take nothing away, and edits that do.
var takenEdits = map[string]struct{ more, less []func(*keys.Key) }{
	"ID":        {less: edits(func(k *keys.Key) { k.ID = "other" })},
	"Kind":      {less: edits(func(k *keys.Key) { k.Kind = keys.KindAdmin })},
	"Name":      {more: edits(func(k *keys.Key) { k.Name = "other" })},
	"Owner":     {more: edits(func(k *keys.Key) { k.Owner = "other" })},
	"OwnerID":   {more: edits(func(k *keys.Key) { k.OwnerID = nil })},
	"Metadata":  {more: edits(func(k *keys.Key) { k.Metadata = nil })},
	"CreatedAt": {more: edits(func(k *keys.Key) { k.CreatedAt = takenStart.Add(-1) })},
	"CreatedBy": {more: edits(func(k *keys.Key) { k.CreatedBy = "other" })},
	"Version":   {more: edits(func(k *keys.Key) { k.Version++ })},
	"Seal":      {more: edits(func(k *keys.Key) { k.Seal = keys.Seal{} })},
	"Batch":     {less: edits(func(k *keys.Key) { k.Batch = []byte{1} })},
	"Scopes": {
		more: edits(
			func(k *keys.Key) { k.Scopes = append(k.Scopes, "prompts:x") },
			func(k *keys.Key) { k.Scopes = []string{"*"} },
			func(k *keys.Key) { k.Scopes = []string{"tools:get_*", "tools:a"} },
		),
		less: edits(
			func(k *keys.Key) { k.Scopes = nil },
			func(k *keys.Key) { k.Scopes = []string{"tools:get_*"} },
			func(k *keys.Key) { k.Scopes = []string{"tools:a", "tools:get_x*"} },
			func(k *keys.Key) { k.Scopes = []string{"not valid"} },
		),
	},
	"Audience": {
		more: edits(
			func(k *keys.Key) { k.Audience = nil },
			func(k *keys.Key) { k.Audience = []string{"two", "one"} },
		),
		less: edits(func(k *keys.Key) { k.Audience = []string{"two"} }),
	},
	"AllowedIPs": {
		more: edits(
			func(k *keys.Key) { k.AllowedIPs = nil },
			func(k *keys.Key) { k.AllowedIPs = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")} },
		),
		less: edits(
			func(k *keys.Key) { k.AllowedIPs = []netip.Prefix{netip.MustParsePrefix("10.1.2.0/24")} },
			func(k *keys.Key) { k.AllowedIPs = []netip.Prefix{netip.MustParsePrefix("::/0")} },
		),
	},
	"RateLimit": {
		more: edits(
			func(k *keys.Key) { k.RateLimit = keys.RateLimit{} },
			func(k *keys.Key) { k.RateLimit.Count = 61 },
		),
		less: edits(
			func(k *keys.Key) { k.RateLimit.Burst = 29 },
			func(k *keys.Key) { k.RateLimit.Window = time.Hour },
		),
	},
	"MaxConcurrent": {
		more: edits(func(k *keys.Key) { k.MaxConcurrent = 6 }, func(k *keys.Key) { k.MaxConcurrent = 0 }),
		less: edits(func(k *keys.Key) { k.MaxConcurrent = 4 }),
	},
	"FinishWhenQuiet": {
		more: edits(func(k *keys.Key) { k.FinishWhenQuiet = 0 }),
		less: edits(func(k *keys.Key) { k.FinishWhenQuiet = time.Minute }),
	},
	"MaxKeyLife": {
		more: edits(func(k *keys.Key) { k.MaxKeyLife = time.Hour }),
		less: edits(), // see TestTakesAwayKeyLife
	},
	"ExpiresAt": {
		more: edits(
			func(k *keys.Key) { k.ExpiresAt = time.Time{} },
			func(k *keys.Key) { k.ExpiresAt = k.ExpiresAt.Add(1) },
		),
		less: edits(func(k *keys.Key) { k.ExpiresAt = k.ExpiresAt.Add(-1) }),
	},
	"DisabledAt":    {less: edits(func(k *keys.Key) { k.DisabledAt = takenStart })},
	"RevokedAt":     {less: edits(func(k *keys.Key) { k.RevokedAt = takenStart })},
	"RevokedReason": {more: edits(func(k *keys.Key) { k.RevokedReason = "other" })},
	"Secrets": {
		more: edits(
			func(k *keys.Key) { k.Secrets = append(k.Secrets, keys.KeySecret{Number: 2}) },
			func(k *keys.Key) { k.Secrets[0].ExpiresAt = time.Time{} },
			func(k *keys.Key) { k.Secrets[0].CreatedAt = time.Time{} },
		),
		less: edits(
			func(k *keys.Key) { k.Secrets = nil },
			func(k *keys.Key) { k.Secrets[0].Number = 2 },
			func(k *keys.Key) { k.Secrets[0].Scheme = "other" },
			func(k *keys.Key) { k.Secrets[0].PepperID = "q" },
			func(k *keys.Key) { k.Secrets[0].Digest = []byte{2} },
			func(k *keys.Key) { k.Secrets[0].Lookup = nil },
			func(k *keys.Key) { k.Secrets[0].ExpiresAt = takenStart },
		),
	},
}

func edits(list ...func(*keys.Key)) []func(*keys.Key) { return list }

func TestTakesAway(t *testing.T) {
	if keys.TakesAway(takenKey(), takenKey()) {
		t.Error("TakesAway of the same key: got true")
	}
	for field, e := range takenEdits {
		for i, edit := range e.more {
			after := takenKey()
			edit(after)
			if keys.TakesAway(takenKey(), after) {
				t.Errorf("%s, edit %d: TakesAway: got true, want false", field, i)
			}
		}
		for i, edit := range e.less {
			after := takenKey()
			edit(after)
			if !keys.TakesAway(takenKey(), after) {
				t.Errorf("%s, edit %d: TakesAway: got false, want true", field, i)
			}
		}
	}
}

// A new field of a key or a secret must be judged too.
func TestTakesAwayKnowsEveryField(t *testing.T) {
	key := reflect.TypeFor[keys.Key]()
	for i := range key.NumField() {
		if _, ok := takenEdits[key.Field(i).Name]; !ok {
			t.Errorf("TakesAway and takenEdits do not know Key.%s", key.Field(i).Name)
		}
	}
	known := []string{"Number", "Scheme", "PepperID", "Digest", "Lookup", "CreatedAt", "ExpiresAt"}
	secret := reflect.TypeFor[keys.KeySecret]()
	for i := range secret.NumField() {
		if !slices.Contains(known, secret.Field(i).Name) {
			t.Errorf("TakesAway does not know KeySecret.%s", secret.Field(i).Name)
		}
	}
}

func TestTakesAwayFromOtherStates(t *testing.T) {
	disabled, revoked := takenKey(), takenKey()
	disabled.DisabledAt, revoked.RevokedAt = takenStart, takenStart
	if keys.TakesAway(disabled, takenKey()) {
		t.Error("enable: got true")
	}
	if keys.TakesAway(revoked, revoked) {
		t.Error("revoked before and after: got true")
	}
	later := *disabled
	later.Scopes = nil
	if !keys.TakesAway(disabled, &later) {
		t.Error("a disabled key is narrowed: got false, though a guard may remember it as it was before")
	}
}

func TestTakesAwayKeyLife(t *testing.T) {
	before, after := takenKey(), takenKey()
	before.Kind, after.Kind = keys.KindAdmin, keys.KindAdmin
	after.MaxKeyLife = keys.DefaultMaxKeyLife
	if keys.TakesAway(before, after) {
		t.Error("the default limit, written down: got true")
	}
	after.MaxKeyLife--
	if !keys.TakesAway(before, after) {
		t.Error("a shorter limit than the default: got false")
	}
}

// If any demand, at any time, is admitted and allowed before a change and not after it, the
// change takes something away.
func TestTakesAwayAgreesWithAdmit(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	kept := 0
	for range 60_000 {
		before := randomKey(r)
		after := randomKey(r)
		if r.IntN(2) == 0 { // most of it stays
			edited := *before
			edited.Secrets = slices.Clone(before.Secrets)
			after = &edited
			randomEdit(r, after)
		}
		if keys.TakesAway(before, after) {
			continue
		}
		if what := someRequestLost(before, after); what != "" {
			t.Fatalf("TakesAway: got false, but %s is lost:\nbefore %+v\nafter  %+v", what, before, after)
		}
		kept++
	}
	if kept < 1000 {
		t.Errorf("%d random pairs take nothing away; too few to tell", kept)
	}
}

func someRequestLost(before, after *keys.Key) string {
	was, errWas := keys.CompileScopes(before.Scopes)
	is, errIs := keys.CompileScopes(after.Scopes)
	if errWas != nil || errIs != nil {
		return "a scope"
	}
	for _, required := range []string{"tools:a", "tools:b", "tools:a:b", "tools:ab", "x"} {
		if was.Allows(required) && !is.Allows(required) {
			return required
		}
	}
	if !before.RateLimit.Within(after.RateLimit) {
		return "the rate limit"
	}
	for i := range before.Secrets {
		s := &before.Secrets[i]
		kept := after.Secret(s.Number)
		for _, late := range []time.Duration{0, 1, 2, 3, 4, 1000} {
			for _, kind := range []keys.Kind{keys.KindKey, keys.KindAdmin} {
				for _, audience := range []string{"", "one", "two"} {
					for _, ip := range []string{"10.1.2.3", "10.2.0.1", "::1", "::ffff:10.1.2.3"} {
						at, demand := takenStart.Add(late), keys.Demand{Kind: kind, Audience: audience, ClientIP: netip.MustParseAddr(ip)}
						if before.Admit(s, at, demand) != keys.CodeValid {
							continue
						}
						if kept == nil || !slices.Equal(kept.Digest, s.Digest) || after.Admit(kept, at, demand) != keys.CodeValid {
							return string(kind) + " " + audience + " " + ip
						}
					}
				}
			}
		}
	}
	return ""
}

func randomKey(r *rand.Rand) *keys.Key {
	k := &keys.Key{ID: "abcdefghijkl", Kind: keys.KindKey}
	for range 6 {
		randomEdit(r, k)
	}
	if len(k.Secrets) == 0 {
		k.Secrets = []keys.KeySecret{{Number: 1, Digest: []byte{1}}}
	}
	return k
}

func randomEdit(r *rand.Rand, k *keys.Key) {
	when := func() time.Time {
		if r.IntN(3) == 0 {
			return time.Time{}
		}
		return takenStart.Add(time.Duration(r.IntN(4)))
	}
	switch r.IntN(9) {
	case 0:
		k.Scopes = some(r, "tools:a", "tools:b", "tools:*", "tools:a*", "*", "tools:a:*", "x")
	case 1:
		k.Audience = some(r, "one", "two", "three")
	case 2:
		k.AllowedIPs = nil
		for _, p := range some(r, "10.0.0.0/8", "10.1.0.0/16", "10.1.2.3/32", "0.0.0.0/0", "::/0", "::1/128", "::ffff:10.1.0.0/112") {
			k.AllowedIPs = append(k.AllowedIPs, netip.MustParsePrefix(p))
		}
	case 3:
		k.ExpiresAt = when()
	case 4:
		k.Secrets = nil
		for n := range int64(1 + r.IntN(2)) {
			k.Secrets = append(k.Secrets, keys.KeySecret{Number: n + 1, Digest: []byte{byte(1 + r.IntN(2))}, ExpiresAt: when()})
		}
	case 5:
		k.RateLimit = keys.RateLimit{}
		if r.IntN(2) == 0 {
			k.RateLimit = keys.RateLimit{Count: 1 + r.IntN(3), Window: time.Minute, Burst: 1}
		}
	case 6:
		if k.DisabledAt = (time.Time{}); r.IntN(8) == 0 {
			k.DisabledAt = takenStart
		}
	case 7:
		if r.IntN(20) == 0 {
			k.RevokedAt = takenStart
		}
	case 8:
		if k.Kind = keys.KindKey; r.IntN(4) == 0 {
			k.Kind = keys.KindAdmin
		}
	}
}

// some are a few of all, in any order.
func some(r *rand.Rand, all ...string) []string {
	out := slices.Clone(all)
	r.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out[:r.IntN(4)]
}

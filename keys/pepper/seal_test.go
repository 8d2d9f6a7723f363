package pepper_test

import (
	"errors"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/pepper"
)

func sealedKey(tb testing.TB, p *pepper.Set) *keys.Key {
	tb.Helper()
	token := keys.NewToken(keys.KindKey)
	digest, id := p.Digest(token.Secret())
	k := &keys.Key{
		ID: token.ID(), Kind: keys.KindKey, Name: "ci", Owner: "team-a",
		Scopes: []string{"tools:get_*", "prompts:x"}, Audience: []string{"weather"},
		AllowedIPs: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
		RateLimit:  keys.RateLimit{Count: 60, Window: time.Minute, Burst: 10},
		Metadata:   map[string]string{"env": "prod"},
		CreatedAt:  noon, CreatedBy: "local:a(1)", ExpiresAt: noon.Add(time.Hour), Version: 3,
		Secrets: []keys.KeySecret{{Number: 1, Scheme: keys.SchemeHMAC, PepperID: id, Digest: digest[:], CreatedAt: noon}},
	}
	p.Seal(k)
	return k
}

// TestSealCoversEveryField walks the type, so that a field added later and left out
// of the seal is noticed here.
func TestSealCoversEveryField(t *testing.T) {
	p := vectorPepper(t)
	if err := p.CheckSeal(sealedKey(t, p)); err != nil {
		t.Fatalf("CheckSeal of an untouched key: %v", err)
	}
	check := func(path string, k *keys.Key) {
		t.Helper()
		if err := p.CheckSeal(k); !errors.Is(err, keys.ErrTampered) {
			t.Errorf("CheckSeal after %s was changed: got %v, want ErrTampered", path, err)
		}
	}
	typ := reflect.TypeFor[keys.Key]()
	for i := range typ.NumField() {
		name := typ.Field(i).Name
		k := sealedKey(t, p)
		if name == "Secrets" {
			secret := reflect.TypeFor[keys.KeySecret]()
			for j := range secret.NumField() {
				k := sealedKey(t, p)
				alter(t, reflect.ValueOf(&k.Secrets[0]).Elem().Field(j))
				check("Secrets."+secret.Field(j).Name, k)
			}
			k.Secrets = nil
			check("Secrets", k)
			continue
		}
		if name == "Seal" {
			k.Seal.MAC[0] ^= 1
			check("Seal.MAC", k)
			k = sealedKey(t, p)
			k.Seal.PepperID = "gone"
			check("Seal.PepperID", k)
			k = sealedKey(t, p)
			k.Seal.Format++
			check("Seal.Format", k)
			continue
		}
		alter(t, reflect.ValueOf(k).Elem().Field(i))
		check(name, k)
	}
}

// alter changes a value to another one of its type.
func alter(t *testing.T, v reflect.Value) {
	t.Helper()
	switch x := v.Addr().Interface().(type) {
	case *time.Time:
		*x = x.Add(time.Microsecond)
	case *[]string:
		*x = append(*x, "more")
	case *[]byte:
		*x = append(*x, 0)
	case *[]netip.Prefix:
		*x = nil
	case *map[string]string:
		*x = map[string]string{"env": "test"}
	case *keys.RateLimit:
		x.Burst++
	default:
		switch v.Kind() {
		case reflect.String:
			v.SetString(v.String() + "x")
		case reflect.Int, reflect.Int64:
			v.SetInt(v.Int() + 1)
		default:
			t.Fatalf("a field of type %v: teach this test to alter it", v.Type())
		}
	}
}

// TestSealIsUnambiguous: moving a character, an element or a date from one field to
// its neighbour is a change.
func TestSealIsUnambiguous(t *testing.T) {
	p := vectorPepper(t)
	for name, change := range map[string]func(*keys.Key){
		"name to owner":        func(k *keys.Key) { k.Name, k.Owner = "c", "iteam-a" },
		"scope to audience":    func(k *keys.Key) { k.Scopes, k.Audience = k.Scopes[:1], []string{"prompts:x", "weather"} },
		"two scopes joined":    func(k *keys.Key) { k.Scopes = []string{"tools:get_*prompts:x"} },
		"scopes swapped":       func(k *keys.Key) { k.Scopes[0], k.Scopes[1] = k.Scopes[1], k.Scopes[0] },
		"expiry to revocation": func(k *keys.Key) { k.RevokedAt, k.ExpiresAt = k.ExpiresAt, time.Time{} },
		"metadata name":        func(k *keys.Key) { k.Metadata = map[string]string{"en": "vprod"} },
		"another address":      func(k *keys.Key) { k.AllowedIPs = []netip.Prefix{netip.MustParsePrefix("11.0.0.0/8")} },
		"a wider range":        func(k *keys.Key) { k.AllowedIPs = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/7")} },
		"no window":            func(k *keys.Key) { k.RateLimit = keys.RateLimit{} },
	} {
		k := sealedKey(t, p)
		change(k)
		if p.CheckSeal(k) == nil {
			t.Errorf("CheckSeal after %s: not noticed", name)
		}
	}
}

// TestSealTellsWhereATextEnds: the attack moves text from a field to the one before it, with
// the separator of fields inside the text. A valid key never has such characters, but a
// database shell can write them.
func TestSealTellsWhereATextEnds(t *testing.T) {
	p := vectorPepper(t)
	between := strings.Repeat("\x00", 8)
	k := sealedKey(t, p)
	k.Name, k.Owner = "ci", "team"+between
	p.Seal(k)
	k.Name, k.Owner = "ci"+between+"team", ""
	if err := p.CheckSeal(k); !errors.Is(err, keys.ErrTampered) {
		t.Errorf("CheckSeal after the owner was moved into the name: got %v, want ErrTampered", err)
	}
}

// TestA27SwappedDigests: an attacker who can write the database, but has no pepper,
// copies the digest of their own key into the row of a stronger one. The seal and the
// digest, which covers the id, both refuse that secret.
func TestA27SwappedDigests(t *testing.T) {
	p := vectorPepper(t)
	strong := sealedKey(t, p)
	own := keys.NewToken(keys.KindKey)
	digest, id := p.Digest(own.Secret())
	strong.Secrets[0].Digest, strong.Secrets[0].PepperID = digest[:], id
	if err := p.CheckSeal(strong); !errors.Is(err, keys.ErrTampered) {
		t.Errorf("CheckSeal: got %v, want ErrTampered", err)
	}
	forged := "mcpk_" + strong.ID + own.Secret().Reveal()[17:]
	if p.Verify(strong, keys.NewSecret(forged)) != nil {
		t.Error("Verify: a digest moved to another id was accepted")
	}
	twin := *strong
	if err := func() error { q, _ := pepper.Generate(); q.Seal(&twin); return p.CheckSeal(&twin) }(); !errors.Is(err, keys.ErrTampered) {
		t.Errorf("CheckSeal of a row sealed with the attacker's own pepper: got %v, want ErrTampered", err)
	}
}

func BenchmarkCheckSeal(b *testing.B) {
	p := vectorPepper(b)
	k := sealedKey(b, p)
	b.ReportAllocs()
	for b.Loop() {
		if p.CheckSeal(k) != nil {
			b.Fatal("broken")
		}
	}
}

package pepper_test

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/pepper"
)

func TestPeppersRoundTrip(t *testing.T) {
	p, err := pepper.Generate()
	if err != nil {
		t.Fatal(err)
	}
	again, err := pepper.Parse(p.Encode())
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(p.Encode(), again.Encode()) {
		t.Error("Encode: what was read renders differently")
	}
	secret := keys.NewToken(keys.KindKey).Secret()
	a, _ := p.Digest(secret)
	b, _ := again.Digest(secret)
	if a != b {
		t.Error("Digest: differs after a round trip")
	}
}

// TestPepperLabels holds the derived values to an independent implementation: no
// two uses of one pepper share a key, and none is the pepper itself.
func TestPepperLabels(t *testing.T) {
	check := vectorPepper(t).Checks()["v1"]
	if got, want := hex.EncodeToString(check[:]), "2c690362374a94f5778eba1de07316e35f361ad8a8b62d6f0a7023b4f6b28fdc"; got != want {
		t.Errorf("Checks: got %s, want %s", got, want)
	}
	pass := vectorPepper(t).Pass([]byte("message"))
	if got, want := hex.EncodeToString(pass[:]), "b46a8be528b975a333825f5b88e204da00b3196224c53296a0b5298687acb8d4"; got != want {
		t.Errorf("Pass: got %s, want %s", got, want)
	}
}

// A pass that was made before a pepper was added is accepted after it, and one of a removed
// pepper is not.
func TestPassOfOldPepper(t *testing.T) {
	old := vectorPepper(t)
	both, _, err := old.Add()
	if err != nil {
		t.Fatal(err)
	}
	fresh, err := both.Remove("v1")
	if err != nil {
		t.Fatal(err)
	}
	message := []byte("caller, instance, key")
	before, after := old.Pass(message), both.Pass(message)
	for name, c := range map[string]struct {
		peppers *pepper.Set
		message []byte
		pass    []byte
		want    bool
	}{
		"of the old pepper":      {both, message, before[:], true},
		"of the current pepper":  {both, message, after[:], true},
		"the first 16 bytes":     {both, message, before[:16], true},
		"fewer bytes":            {both, message, before[:15], false},
		"no bytes":               {both, message, nil, false},
		"too many bytes":         {both, message, append(before[:], 0), false},
		"of the removed pepper":  {fresh, message, before[:], false},
		"before the pepper came": {old, message, after[:], false},
		"another message":        {both, []byte("caller, instance, kez"), before[:], false},
	} {
		if got := c.peppers.IsPass(c.message, c.pass); got != c.want {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
	}
}

// TestOldPepperVerifies: keys outlive the pepper that was current when they
// were issued, and no other pepper verifies them.
func TestOldPepperVerifies(t *testing.T) {
	old, _ := pepper.Generate()
	fresh, _ := pepper.Generate()
	both, err := pepper.Parse([]byte(strings.Replace(string(old.Encode()), " current ", " old ", 1) + string(fresh.Encode())))
	if err != nil {
		t.Fatal(err)
	}
	token := keys.NewToken(keys.KindKey)
	digest, pepperID := old.Digest(token.Secret())
	k := &keys.Key{ID: token.ID(), Secrets: []keys.KeySecret{{Number: 1, Scheme: keys.SchemeHMAC, PepperID: pepperID, Digest: digest[:]}}}
	if both.Verify(k, token.Secret()) == nil {
		t.Error("Verify: an old pepper does not verify its own digest")
	}
	if fresh.Verify(k, token.Secret()) != nil {
		t.Error("Verify: a pepper verified another's digest")
	}
	if _, current := both.Digest(token.Secret()); current == pepperID {
		t.Error("Digest: used an old pepper")
	}
}

func TestVerify(t *testing.T) {
	p := vectorPepper(t)
	token, other := keys.NewToken(keys.KindKey), keys.NewToken(keys.KindKey)
	digest, id := p.Digest(token.Secret())
	second, _ := p.Digest(other.Secret())
	k := &keys.Key{Secrets: []keys.KeySecret{
		{Number: 1, Scheme: keys.SchemeHMAC, PepperID: id, Digest: second[:]},
		{Number: 2, Scheme: keys.SchemeHMAC, PepperID: id, Digest: digest[:]},
	}}
	if s := p.Verify(k, token.Secret()); s == nil || s.Number != 2 {
		t.Errorf("Verify: got %v, want the second secret", s)
	}
	for name, k := range map[string]*keys.Key{
		"unknown id":     nil,
		"no secrets":     {},
		"empty digest":   {Secrets: []keys.KeySecret{{Scheme: keys.SchemeHMAC, PepperID: id}}},
		"short digest":   {Secrets: []keys.KeySecret{{Scheme: keys.SchemeHMAC, PepperID: id, Digest: digest[:8]}}},
		"unknown scheme": {Secrets: []keys.KeySecret{{Scheme: "none", PepperID: id, Digest: digest[:]}}},
		"no scheme":      {Secrets: []keys.KeySecret{{PepperID: id, Digest: digest[:]}}},
		"unknown pepper": {Secrets: []keys.KeySecret{{Scheme: keys.SchemeHMAC, PepperID: "gone", Digest: digest[:]}}},
		"other's digest": {Secrets: []keys.KeySecret{{Scheme: keys.SchemeHMAC, PepperID: id, Digest: second[:]}}},
		"zero digest":    {Secrets: []keys.KeySecret{{Scheme: keys.SchemeHMAC, PepperID: id, Digest: make([]byte, 32)}}},
	} {
		if p.Verify(k, token.Secret()) != nil {
			t.Errorf("Verify with %s: accepted", name)
		}
	}
	if p.Verify(k, keys.Secret{}) != nil {
		t.Error("Verify of the empty secret: accepted")
	}
}

// TestA5LookalikeTokens: two tokens that share all but one character (a cache or a
// column that keeps a part of a token confuses them, CVE-2026-35030) are two keys.
func TestA5LookalikeTokens(t *testing.T) {
	p := vectorPepper(t)
	text := keys.NewToken(keys.KindKey).Secret().Reveal()
	digest, id := p.Digest(keys.NewSecret(text))
	k := &keys.Key{Secrets: []keys.KeySecret{{Scheme: keys.SchemeHMAC, PepperID: id, Digest: digest[:]}}}
	for i := range len(text) {
		twin := []byte(text)
		twin[i] ^= 1
		if p.Verify(k, keys.NewSecret(string(twin))) != nil {
			t.Errorf("Verify: a twin that differs at %d was accepted", i)
		}
	}
	for name, twin := range map[string]string{"first 20": text[:20], "last 16": text[38:], "twice": text + text, "with NUL": text + "\x00"} {
		if p.Verify(k, keys.NewSecret(twin)) != nil {
			t.Errorf("Verify of %s: accepted", name)
		}
	}
}

// TestPepperErrorsEchoNothing: the file's content is the secret, so that errors
// name the line only.
func TestPepperErrorsEchoNothing(t *testing.T) {
	canary := "c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee0"
	for name, text := range map[string]string{
		"empty":            "",
		"comments only":    "# nothing\n\n",
		"short":            "p1 current " + canary,
		"no hex":           "p1 current " + canary + "g",
		"no state":         "p1 " + canary + "0",
		"unknown state":    "p1 " + canary + "0 " + canary + "0",
		"two current":      "p1 current " + canary + "0\np2 current " + canary + "1",
		"same id":          "p1 current " + canary + "0\np1 old " + canary + "1",
		"only old":         "p1 old " + canary + "0",
		"odd id":           "p/1 current " + canary + "0",
		"trailing content": "p1 current " + canary + "0 x",
		"a store of no id": "p1 current " + canary + "0\nstore c0ffee",
		"a store of zeros": "p1 current " + canary + "0\nstore " + strings.Repeat("0", 32),
		"two stores":       "p1 current " + canary + "0\nstore " + canary[:32] + "\nstore " + canary[:32],
	} {
		_, err := pepper.Parse([]byte(text))
		if err == nil {
			t.Errorf("Parse of %s: accepted", name)
		} else if strings.Contains(err.Error(), "c0ffee") {
			t.Errorf("Parse of %s: the error repeats the content", name)
		}
	}
}

// TestPeppersKeepTheirStore: added and removed peppers keep the id of their store.
func TestPeppersKeepTheirStore(t *testing.T) {
	id := pepper.NewStoreID()
	p := mustGenerate(t)
	if !p.Store().IsZero() || strings.Contains(string(p.Encode()), "store ") {
		t.Errorf("fresh peppers are those of store %s, want none", p.Store())
	}
	p = mustAdd(t, p.ForStore(id))
	fewer, err := p.Remove(p.IDs()[0])
	if err != nil {
		t.Fatal(err)
	}
	again, err := pepper.Parse(fewer.Encode())
	if err != nil {
		t.Fatal(err)
	}
	for what, p := range map[string]*pepper.Set{"Add": p, "Remove": fewer, "Parse": again} {
		if p.Store() != id {
			t.Errorf("%s: got store %s, want %s", what, p.Store(), id)
		}
	}
}

package pepper_test

import (
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/pepper"
)

// An ended secret is recognised for exactly 30 days, also if its row is kept longer.
func TestSupersededIsNamedForItsTime(t *testing.T) {
	peppers, err := pepper.Generate()
	if err != nil {
		t.Fatal(err)
	}
	token := keys.NewToken(keys.KindKey).Secret()
	digest, id := peppers.Digest(token)
	ended := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	list := []keys.Superseded{{Number: 1, Scheme: keys.SchemeHMAC, PepperID: id, Digest: digest[:], EndedAt: ended}}
	if s := peppers.Superseded(list, token, ended.Add(keys.SupersededKept-1)); s == nil {
		t.Error("within its time: not named")
	}
	if s := peppers.Superseded(list, token, ended.Add(keys.SupersededKept)); s != nil {
		t.Errorf("after its time: got %+v, want none", s)
	}
}

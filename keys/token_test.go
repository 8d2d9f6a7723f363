package keys_test

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/pepper"
)

// vectorPepper is the pepper that testdata/vectors.txt was made with: bytes 00..1f.
func vectorPepper(tb testing.TB) *pepper.Set {
	tb.Helper()
	root := make([]byte, 32)
	for i := range root {
		root[i] = byte(i)
	}
	p, err := pepper.Parse(fmt.Appendf(nil, "v1 current %x\n", root))
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

func vectorLines(tb testing.TB) []string {
	tb.Helper()
	text, err := os.ReadFile("testdata/vectors.txt")
	if err != nil {
		tb.Fatal(err)
	}
	var lines []string
	for s := bufio.NewScanner(bytes.NewReader(text)); s.Scan(); {
		if line := s.Text(); line != "" && !strings.HasPrefix(line, "#") {
			lines = append(lines, line)
		}
	}
	return lines
}

// TestVectors holds the format and the stored digest to an independent
// implementation: keys made by any release verify in every later one.
func TestVectors(t *testing.T) {
	peppers := vectorPepper(t)
	var valid, malformed int
	for _, line := range vectorLines(t) {
		word, rest, _ := strings.Cut(line, " ")
		if word == "malformed" {
			malformed++
			text, err := strconv.Unquote(rest)
			if err != nil {
				t.Fatalf("bad vector %s: %v", rest, err)
			}
			if keys.IsToken(text) {
				t.Errorf("IsToken(%q): got true", text)
			}
			if _, err := keys.ParseToken(text); err != keys.ErrMalformed {
				t.Errorf("ParseToken(%q): got %v, want ErrMalformed", text, err)
			}
			continue
		}
		valid++
		f := strings.Fields(rest)
		if !keys.IsToken(f[0]) {
			t.Errorf("IsToken(%q): got false", f[0])
		}
		token, err := keys.ParseToken(f[0])
		if err != nil {
			t.Errorf("ParseToken(%q): %v", f[0], err)
			continue
		}
		if string(token.Kind()) != f[1] || token.ID() != f[2] || token.Secret().Reveal() != f[0] {
			t.Errorf("ParseToken(%q): got kind %s, id %s", f[0], token.Kind(), token.ID())
		}
		digest, pepperID := peppers.Digest(token.Secret())
		if got := hex.EncodeToString(digest[:]); got != f[3] || pepperID != "v1" {
			t.Errorf("Digest(%q): got %s under %s, want %s under v1", f[0], got, pepperID, f[3])
		}
	}
	if valid < 5 || malformed < 20 {
		t.Fatalf("read %d valid and %d malformed vectors; is the file whole?", valid, malformed)
	}
}

func TestNewTokenParses(t *testing.T) {
	seen := map[string]bool{}
	for _, kind := range []keys.Kind{keys.KindKey, keys.KindAdmin} {
		for range 500 {
			token := keys.NewToken(kind)
			text := token.Secret().Reveal()
			parsed, err := keys.ParseToken(text)
			if err != nil {
				t.Fatalf("ParseToken of a new token: %v", err)
			}
			if len(text) != keys.TokenLen || parsed.ID() != token.ID() || parsed.Kind() != kind {
				t.Fatalf("a new token does not parse to itself")
			}
			if !keys.ValidID(token.ID()) || seen[token.ID()] {
				t.Fatalf("id %q is malformed or was drawn twice", token.ID())
			}
			seen[token.ID()] = true
		}
	}
}

// TestTypingErrorsAreMalformed: any one wrong character and any two neighbours
// swapped are caught by the check, before the store is read.
func TestTypingErrorsAreMalformed(t *testing.T) {
	text := keys.NewToken(keys.KindKey).Secret().Reveal()
	const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_"
	try := func(typo string) {
		if _, err := keys.ParseToken(typo); typo != text && err == nil {
			t.Errorf("a typing error passed the check")
		}
	}
	for i := range len(text) {
		for _, c := range []byte(alphabet) {
			try(text[:i] + string(c) + text[i+1:])
		}
		if i > 0 {
			try(text[:i-1] + string(text[i]) + string(text[i-1]) + text[i+1:])
		}
	}
}

// TestA8ExampleTokensAreDead: the token of a document, a ticket or this project's README
// must not be valid anywhere. Documented examples have a wrong check, so they are refused
// before the store is read.
func TestA8ExampleTokensAreDead(t *testing.T) {
	for _, example := range []string{
		"mcpk_EXAMPLEonly0_ThisKeyIsDeadByConstruction0000000000",
		"mcpa_EXAMPLEonly0_ThisKeyIsDeadByConstruction0000000000",
	} {
		text := example[:keys.TokenLen]
		if _, err := keys.ParseToken(text); err != keys.ErrMalformed {
			t.Errorf("ParseToken(%q): got %v, want ErrMalformed", text, err)
		}
	}
}

// FuzzParseToken: only tokens in the strict form parse, and they render back byte for byte.
func FuzzParseToken(f *testing.F) {
	for _, line := range vectorLines(f) {
		word, rest, _ := strings.Cut(line, " ")
		if word == "valid" {
			f.Add(strings.Fields(rest)[0])
			continue
		}
		text, _ := strconv.Unquote(rest)
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		token, err := keys.ParseToken(text)
		if err != nil {
			if err != keys.ErrMalformed {
				t.Fatalf("ParseToken(%q): got %v, want ErrMalformed", text, err)
			}
			return
		}
		if token.Secret().Reveal() != text {
			t.Fatalf("ParseToken(%q): renders as %q", text, token.Secret().Reveal())
		}
		if !keys.LooksLikeToken(text) || text[5:17] != token.ID() || text[:5] != map[keys.Kind]string{"key": "mcpk_", "admin": "mcpa_"}[token.Kind()] {
			t.Fatalf("ParseToken(%q): parsed, but it is not a token", text)
		}
	})
}

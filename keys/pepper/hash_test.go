package pepper_test

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/pepper"
)

// Hashes of other implementations: Spring Security's documentation, libxcrypt, and the
// test vectors of the Argon2 reference.
const (
	springPassword = "{bcrypt}$2a$10$dXJ3SW6G7P50lGmMkkmwe.20cQQubK3.HZWzG3YB1tlRy.fqvM/BG"
	argonPassword  = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
)

func TestParseHash(t *testing.T) {
	sum256, sum512 := sha256.Sum256([]byte("x")), sha512.Sum512([]byte("x"))
	for text, want := range map[string]keys.Scheme{
		"sha256:" + hex.EncodeToString(sum256[:]):                   keys.SchemeSHA256,
		"sha256:" + strings.ToUpper(hex.EncodeToString(sum256[:])):  keys.SchemeSHA256,
		"sha256:" + base64.StdEncoding.EncodeToString(sum256[:]):    keys.SchemeSHA256, // unkey
		"sha256:" + base64.RawURLEncoding.EncodeToString(sum256[:]): keys.SchemeSHA256, // better-auth
		"sha512:" + hex.EncodeToString(sum512[:]):                   keys.SchemeSHA512,
		"sha512:" + base64.RawStdEncoding.EncodeToString(sum512[:]): keys.SchemeSHA512,
		springPassword: keys.SchemeBcrypt,
		argonPassword:  keys.SchemeArgon2id,
		"{argon2@SpringSecurity_v5_8}" + argonPassword: keys.SchemeArgon2id,
	} {
		h, err := pepper.ParseHash(text)
		if err != nil || h.Scheme() != want || h.IsZero() {
			t.Errorf("ParseHash(%q): got %q, %v, want %q", text, h.Scheme(), err, want)
		}
		if got := fmt.Sprintf("%v %+v %#v %s %d", h, h, h, h, h); strings.Contains(got, "$") || strings.Count(got, "[hash]") != 5 {
			t.Errorf("a hash is printed as %q", got)
		}
	}
}

// TestA6HashBombs: a hash says how much work it needs, so one in an imported file could
// stop every server with a few requests.
func TestA6HashBombs(t *testing.T) {
	bcrypt := springPassword[len("{bcrypt}"):]
	for name, text := range map[string]string{
		"bcrypt of cost 31":        "$2a$31" + bcrypt[6:],
		"bcrypt of cost 13":        "$2a$13" + bcrypt[6:],
		"bcrypt of cost 3":         "$2a$03" + bcrypt[6:],
		"bcrypt with a sign":       "$2a$+9" + bcrypt[6:],
		"bcrypt cut off":           bcrypt[:59],
		"bcrypt with more":         bcrypt + "x",
		"an old bcrypt":            "$2x$10" + bcrypt[6:],
		"argon2id of 4 GiB":        strings.Replace(argonPassword, "m=65536", "m=4194304", 1),
		"argon2id of 64 MiB + 1":   strings.Replace(argonPassword, "m=65536", "m=65537", 1),
		"argon2id, 5 times":        strings.Replace(argonPassword, "t=2", "t=5", 1),
		"argon2id, 5 threads":      strings.Replace(argonPassword, "p=1", "p=5", 1),
		"argon2id, 257 threads":    strings.Replace(argonPassword, "p=1", "p=257", 1),
		"argon2id, no threads":     strings.Replace(argonPassword, "p=1", "p=0", 1),
		"argon2id, no time":        strings.Replace(argonPassword, "t=2", "t=0", 1),
		"argon2id, overflow":       strings.Replace(argonPassword, "m=65536", "m=4294967297", 1),
		"argon2id, negative":       strings.Replace(argonPassword, "t=2", "t=-1", 1),
		"argon2id, another order":  strings.Replace(argonPassword, "m=65536,t=2", "t=2,m=65536", 1),
		"argon2id, more behind":    argonPassword + "$x",
		"argon2id, version 16":     strings.Replace(argonPassword, "v=19", "v=16", 1),
		"argon2id, a long salt":    strings.Replace(argonPassword, "c29tZXNhbHQ", strings.Repeat("c29t", 30), 1),
		"argon2id, a long sum":     argonPassword + strings.Repeat("AAAA", 30),
		"argon2i":                  strings.Replace(argonPassword, "argon2id", "argon2i", 1),
		"an endless one":           argonPassword + strings.Repeat("A", 100_000),
		"a short sum":              "sha256:abcd",
		"another's sum":            "sha512:" + strings.Repeat("ab", 32),
		"a salted sum of Spring's": "{SHA-256}{abc}" + strings.Repeat("ab", 32),
		"a bare sum":               strings.Repeat("ab", 32),
		"nothing":                  "",
	} {
		h, err := pepper.ParseHash(text)
		var invalid *keys.InvalidError
		if !errors.As(err, &invalid) || invalid.Field != "hash" {
			t.Errorf("%s: got %v, %v, want an InvalidError", name, h.Scheme(), err)
			continue
		}
		if len(text) > 20 && strings.Contains(err.Error(), text[len(text)-20:]) {
			t.Errorf("%s: the error repeats the hash: %v", name, err)
		}
	}
}

func TestProvenBy(t *testing.T) {
	const of72 = "$2a$04$abcdefghijklmnopqrstuubzadhGtS2zEF.gu0yd0opP6cVzb.e0i" // of 72 x, and of more
	for _, tc := range []struct {
		name, hash, token string
		want              bool
	}{
		{"Spring", springPassword[len("{bcrypt}"):], "api01.password", true},
		{"Spring, another id", springPassword[len("{bcrypt}"):], "api02.password", true}, // the id finds the key, and proves nothing
		{"Spring, wrong", springPassword[len("{bcrypt}"):], "api01.Password", false},
		{"Spring, without id", springPassword[len("{bcrypt}"):], "password", false},
		{"Spring, empty", springPassword[len("{bcrypt}"):], "api01.", false},
		{"argon2id", argonPassword, "k.password", true},
		{"argon2id, wrong", argonPassword, "k.passwore", false},
		{"argon2id, two dots", argonPassword, "k.x.password", false},
		{"libxcrypt", "$2y$04$abcdefghijklmnopqrstuuHgdk9YU/qFlnfJAvlX8GFcAqLwKP8n2", "k.s3cret-part", true},
		{"libxcrypt", "$2b$04$7/b598fCKO/9DYGrOPERR.YfztiaQAIQR7w160lQXK3qTUt8Qs1tu", "k.s3cret-part", true},
		{"72 bytes", of72, "k." + strings.Repeat("x", 72), true},
		{"A6: its twin of 73", of72, "k." + strings.Repeat("x", 73), false}, // bcrypt ignores the rest
		{"nothing stored", "", "k.password", false},
		{"a bomb stored", "$2a$31" + springPassword[len("{bcrypt}")+6:], "k.password", false},
	} {
		scheme := keys.SchemeBcrypt
		if strings.HasPrefix(tc.hash, "$argon") {
			scheme = keys.SchemeArgon2id
		}
		s := keys.KeySecret{Scheme: scheme, Digest: []byte(tc.hash)}
		if got := pepper.ProvenBy(&s, keys.NewSecret(tc.token)); got != tc.want {
			t.Errorf("%s: got %v, want %v", tc.name, got, tc.want)
		}
	}
}

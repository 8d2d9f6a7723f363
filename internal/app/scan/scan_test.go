package scan_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"

	"github.com/mcpkeys/mcpkeys/internal/app/scan"
	"github.com/mcpkeys/mcpkeys/keys"
)

func newToken() (id, token string) {
	t := keys.NewToken(keys.KindKey)
	return t.ID(), t.Secret().Reveal()
}

// lines reads all of r and returns "line id" of each finding.
func lines(t *testing.T, r io.Reader) []string {
	t.Helper()
	var got []string
	if err := scan.Stream(r, func(line int, t keys.Token) { got = append(got, fmt.Sprint(line, " ", t.ID())) }); err != nil {
		t.Fatalf("Stream: %v", err)
	}
	return got
}

// A text in a path that may be a secret, also without its id or cut, is masked; ordinary names
// are not.
func TestMasked(t *testing.T) {
	const rounds = 2000
	shown := 0
	for range rounds {
		_, token := newToken()
		for _, text := range []string{token, token[18:], token[:50], token[24:48], "x" + token[18:]} {
			if got := scan.Masked("/tmp/" + text + "/x.env"); strings.Contains(got, text[len(text)-24:]) || strings.Contains(got, token[24:48]) {
				shown++
			}
		}
	}
	if shown > rounds/20 {
		t.Errorf("Masked: left %d of %d as they are, want some in a hundred of the shortest pieces at the most", shown, 5*rounds)
	}
	for _, name := range []string{
		"/srv/keys.db", "src/AbstractSingletonProxyFactoryBean2Test.java", "Oauth2AuthorizationServerConfiguration.java",
		"/builds/5f0c6a52-0d0e-4a4e-8a55-0e3f6f0a1b2c/keys.db", "/nix/store/3n58xw4373jp0ljirf06d8077j15pc4j-glibc-2.37",
		"objects/9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", "keys.db.before-restore-20270131T120000.000Z",
		"/tmp/TestServeWithoutCertificate1786785194/001/keys.db", "INTERNATIONALIZATIONCONSTANTS2.h",
	} {
		if got := scan.Masked(name); got != name {
			t.Errorf("Masked(%q): got %q, want it as it is", name, got)
		}
	}
}

// A token at any place around the end of a window is reported once.
func TestStreamAcrossWindows(t *testing.T) {
	const window = 256 << 10
	id, token := newToken()
	for at := window - 2*scan.MaxFound; at <= window+1; at++ {
		text := bytes.Repeat([]byte{'x'}, at-1)
		text = append(text, '\n')
		text = append(text, token...)
		text = append(text, bytes.Repeat([]byte{'\n'}, window)...)
		text = append(text, token...)
		want := []string{"2 " + id, fmt.Sprint(2+window, " ", id)}
		if diff := cmp.Diff(want, lines(t, bytes.NewReader(text))); diff != "" {
			t.Fatalf("Stream with a token at %d (-want +got):\n%s", at, diff)
		}
	}
}

func TestStreamInSmallPieces(t *testing.T) {
	id, token := newToken()
	text := "one\n" + token + "\n" + token + token + "\n"
	want := []string{"2 " + id, "3 " + id, "3 " + id}
	for name, r := range map[string]io.Reader{
		"a byte at a time":         iotest.OneByteReader(strings.NewReader(text)),
		"the end with the data":    iotest.DataErrReader(strings.NewReader(text)),
		"half of what it is asked": iotest.HalfReader(strings.NewReader(text)),
	} {
		if diff := cmp.Diff(want, lines(t, r)); diff != "" {
			t.Errorf("Stream, %s (-want +got):\n%s", name, diff)
		}
	}
}

// A Windows shell wrote a key into a file, in UTF-16.
func TestStreamUTF16(t *testing.T) {
	id, token := newToken()
	text := []byte{0xff, 0xfe}
	for _, unit := range utf16.Encode([]rune("first\r\n" + token + "\r\n")) {
		text = append(text, byte(unit), byte(unit>>8))
	}
	if diff := cmp.Diff([]string{"2 " + id}, lines(t, bytes.NewReader(text))); diff != "" {
		t.Errorf("Stream (-want +got):\n%s", diff)
	}
}

// If a stream cannot be read to its end, Stream returns the error.
func TestStreamTellsFailure(t *testing.T) {
	broken := errors.New("broken")
	if err := scan.Stream(iotest.ErrReader(broken), func(int, keys.Token) {}); !errors.Is(err, broken) {
		t.Errorf("Stream: got %v, want %v", err, broken)
	}
}

type tree struct {
	found  []string
	unread []string
}

func scanTree(t *testing.T, root string) tree {
	t.Helper()
	var got tree
	err := scan.Tree(t.Context(), root,
		func(f scan.Finding) {
			name, _ := filepath.Rel(root, f.File)
			got.found = append(got.found, fmt.Sprint(name, " ", f.Line, " ", f.Token.ID()))
		},
		func(e *scan.UnreadError) { got.unread = append(got.unread, e.Error()) })
	if err != nil {
		t.Fatalf("Tree: %v", err)
	}
	return got
}

func TestTree(t *testing.T) {
	dir := t.TempDir()
	id, token := newToken()
	for name, text := range map[string]string{
		"a.env": "X=1\nKEY=" + token, "sub/deep/b.json": `{"key":"` + token + `"}`, "clean.txt": "nothing",
		".git/config": token, "sub/" + token + ".txt": "its name",
	} {
		write(t, filepath.Join(dir, name), text)
	}
	if err := os.Symlink(dir, filepath.Join(dir, "sub", "loop")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/nowhere", filepath.Join(dir, "dangling")); err != nil {
		t.Fatal(err)
	}
	want := tree{found: []string{"a.env 2 " + id, "sub/deep/b.json 1 " + id, "sub/[key " + id + "].txt 0 " + id}}
	if diff := cmp.Diff(want, scanTree(t, dir), cmp.AllowUnexported(tree{})); diff != "" {
		t.Errorf("Tree (-want +got):\n%s", diff)
	}
	if got := scanTree(t, filepath.Join(dir, "a.env")); len(got.found) != 1 {
		t.Errorf("Tree of one file: got %v", got.found)
	}
	if got := scanTree(t, filepath.Join(dir, "sub", "loop")); len(got.found) != 3 {
		t.Errorf("Tree of a link that was named: got %v", got.found)
	}
	nowhere := scan.Tree(t.Context(), filepath.Join(dir, "no"), nil, nil)
	if !errors.Is(nowhere, os.ErrNotExist) {
		t.Errorf("Tree of nothing: got %v", nowhere)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := scan.Tree(ended, dir, func(scan.Finding) {}, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("Tree, cancelled: got %v", err)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

package checkpoint_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/internal/app/checkpoint"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/audit"
)

func some() audit.Checkpoint {
	return audit.Checkpoint{Generation: "g", Seq: 12, Hash: make([]byte, 32), At: time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)}
}

func TestSignAndOpen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.db.checkpoint-key")
	if _, err := checkpoint.VerifierKey(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("VerifierKey of no file: got %v, want ErrNotExist", err)
	}
	s, made, err := checkpoint.LoadSigner(path)
	if err != nil || !made {
		t.Fatalf("LoadSigner: got made %v, %v", made, err)
	}
	again, made, err := checkpoint.LoadSigner(path)
	if err != nil || made || again.VerifierKey != s.VerifierKey {
		t.Errorf("LoadSigner once more: got made %v, %v, another key: %v", made, err, again.VerifierKey != s.VerifierKey)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key's file: got %v, %v, want 0600", info.Mode(), err)
	}
	note, err := s.Sign(some())
	if err != nil {
		t.Fatal(err)
	}
	for _, verifierKey := range []string{s.VerifierKey, mustVerifierKey(t, path)} {
		if c, err := checkpoint.Open(note, verifierKey); err != nil || c.String() != some().String() {
			t.Errorf("Open: got %v, %v, want %v", c, err, some())
		}
	}
}

func mustVerifierKey(t *testing.T, path string) string {
	t.Helper()
	key, err := checkpoint.VerifierKey(path)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// A27: an attacker who removed rows also changes the checkpoint, or signs one with another key.
func TestA27ForgedNotesAreRefused(t *testing.T) {
	dir := t.TempDir()
	ours, _, err1 := checkpoint.LoadSigner(filepath.Join(dir, "ours"))
	theirs, _, err2 := checkpoint.LoadSigner(filepath.Join(dir, "theirs"))
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	note, err1 := ours.Sign(some())
	forged, err2 := theirs.Sign(some())
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	private, err := os.ReadFile(filepath.Join(dir, "ours"))
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct{ note, key, want string }{
		"a lower number":     {strings.Replace(note, "seq 12", "seq 11", 1), ours.VerifierKey, "was changed after it was signed"},
		"another's key":      {forged, ours.VerifierKey, "another key"},
		"another's verifier": {note, theirs.VerifierKey, "another key"},
		"no signature":       {some().String(), ours.VerifierKey, "not a signed note"},
		"cut off":            {note[:len(note)-20], ours.VerifierKey, ""},
		"nothing":            {"", ours.VerifierKey, "not a signed note"},
		"a megabyte":         {strings.Repeat("x\n", 1<<19), ours.VerifierKey, "not a signed note"},
		"no key":             {note, "", "is not valid"},
		"the signing key":    {note, strings.TrimSpace(string(private)), "is the signing key"},
	} {
		_, err := checkpoint.Open(tc.note, tc.key)
		var invalid *keys.InvalidError
		if !errors.As(err, &invalid) || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("Open with %s: got %v, want an InvalidError with %q", name, err, tc.want)
		}
		if err != nil && strings.Contains(err.Error(), strings.TrimSpace(string(private))) {
			t.Errorf("Open with %s: the error repeats the signing key", name)
		}
	}
	other, err := ours.Sign(audit.Checkpoint{Hash: []byte{1}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := checkpoint.Open(other, ours.VerifierKey); err == nil {
		t.Error("Open of a signed text without a checkpoint: got no error")
	}
}

func TestSpoiltKeyFiles(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"empty": "", "text": "hello\n", "verifier": "mcpkeys-audit+1a2b3c4d+AZ\n", "short": "PRIVATE+KEY+mcpkeys-audit+1a2b3c4d+AQ==\n", "two": "a\nb\n",
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, made, err := checkpoint.LoadSigner(path); err == nil || made || !strings.Contains(err.Error(), "not a checkpoint key") {
			t.Errorf("LoadSigner of %s: got made %v, %v, want a refusal", name, made, err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != text {
			t.Errorf("LoadSigner of %s: the file was touched", name)
		}
	}
	path := filepath.Join(dir, "open")
	if _, _, err := checkpoint.LoadSigner(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, _, err := checkpoint.LoadSigner(path); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("LoadSigner of a file that others may read: got %v, want a refusal", err)
	}
	if _, _, err := checkpoint.LoadSigner(filepath.Join(dir, "no", "where")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("LoadSigner in no directory: got %v, want ErrNotExist", err)
	}
}

// If several processes make the key at the same time, all get the same one.
func TestTwoMakersOneKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	var wg sync.WaitGroup
	found := make([]string, 8)
	for i := range found {
		wg.Go(func() {
			s, _, err := checkpoint.LoadSigner(path)
			if err != nil {
				t.Errorf("LoadSigner: %v", err)
				return
			}
			found[i] = s.VerifierKey
		})
	}
	wg.Wait()
	for _, key := range found {
		if key != found[0] {
			t.Errorf("LoadSigner: got two keys")
		}
	}
}

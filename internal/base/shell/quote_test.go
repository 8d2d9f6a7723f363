package shell_test

import (
	"os/exec"
	"testing"

	"github.com/mcpkeys/mcpkeys/internal/base/shell"
)

func TestQuote(t *testing.T) {
	for word, want := range map[string]string{
		"ci": "ci", "get_*": "'get_*'", "": "''", "it's": `'it'\''s'`, "a b": "'a b'", "$x": "'$x'", "a/b.db": "a/b.db", "~": "'~'",
	} {
		if got := shell.Quote(word); got != want {
			t.Errorf("Quote(%q): got %s, want %s", word, got, want)
		}
		out, err := exec.Command("sh", "-c", "printf %s "+shell.Quote(word)).Output()
		if err != nil || string(out) != word {
			t.Errorf("Quote(%q): a shell reads %q, %v", word, out, err)
		}
	}
}

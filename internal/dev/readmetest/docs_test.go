package readmetest_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mcpkeys/mcpkeys/internal/dev/readmetest"
)

// standAlone are the pages of docs/ that need no copy of the tree. Each begins in an empty
// folder, with keyctl on the PATH; what a page needs before its first command is in a block
// inside an HTML comment, which a reader does not see.
var standAlone = []string{
	"docs/deploy.md",
	"docs/errors.md",
	"docs/glossary.md",
	"docs/guard.md",
	"docs/http-api.md",
	"docs/import.md",
	"docs/incidents.md",
	"docs/operations.md",
	"docs/performance.md",
	"docs/security-cases.md",
	"docs/troubleshooting.md",
}

func TestDocsRun(t *testing.T) {
	bin := filepath.Join(t.TempDir(), "bin")
	install(t, bin)
	for _, name := range standAlone {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			all := commands(t, read(t, name))
			if len(all) == 0 {
				return
			}
			for _, c := range all {
				if !c.Here() {
					t.Errorf("%s:%d: this command is not run here; show it in a text block", name, c.Line)
				}
			}
			playPage(t, t.TempDir(), bin, all)
		})
	}
}

// Every page with commands must be run by a test.
func TestEveryPageIsRun(t *testing.T) {
	for _, name := range pages(t) {
		if strings.HasPrefix(name, "docs/") && !slices.Contains(standAlone, name) && !slices.Contains(inTree, name) && len(commands(t, read(t, name))) > 0 {
			t.Errorf("%s has commands and is neither in standAlone nor in inTree, so no test runs them", name)
		}
	}
}

func TestLinksAndAnchors(t *testing.T) {
	page := "# One `two`, three\n[a](b.md#c) [d](https://example.invalid/e) [f](#one-two-three)\n```text\n# no [g](h.md)\n```\n"
	if got := strings.Join(readmetest.Links(page), " "); got != "b.md#c #one-two-three" {
		t.Errorf("Links: got %q", got)
	}
	if got := strings.Join(readmetest.Anchors(page), " "); got != "one-two-three" {
		t.Errorf("Anchors: got %q", got)
	}
}

// Links within the repository must lead to a file. Links to other sites are not checked.
func TestLinksOfDocsLead(t *testing.T) {
	for _, name := range pages(t) {
		for _, target := range readmetest.Links(read(t, name)) {
			file, anchor, _ := strings.Cut(target, "#")
			path := filepath.Join(filepath.Dir(name), file)
			if file == "" {
				path = name
			}
			if _, err := os.Stat(filepath.Join(root, path)); err != nil {
				t.Errorf("%s: a link to %s, which is not there", name, target)
				continue
			}
			if anchor != "" && !slices.Contains(readmetest.Anchors(read(t, filepath.ToSlash(path))), anchor) {
				t.Errorf("%s: a link to %s, which has no such heading", name, target)
			}
		}
	}
}

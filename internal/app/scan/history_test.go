package scan_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mcpkeys/mcpkeys/internal/app/scan"
)

// git runs a git command without the user's settings.
func git(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", append([]string{"-C", dir}, args...)...)
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1",
		"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.com")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func history(t *testing.T, dir string) []string {
	t.Helper()
	var got []string
	err := scan.History(t.Context(), dir, func(f scan.Finding) {
		got = append(got, fmt.Sprint(f.File, " ", f.Line, " ", f.Commit, " ", f.Token.ID()))
	})
	if err != nil {
		t.Fatalf("History: %v", err)
	}
	slices.Sort(got)
	return got
}

// A key that was committed and then removed is still in the history, and in every clone.
func TestHistory(t *testing.T) {
	dir := t.TempDir()
	git(t, dir, "init", "-q", "-b", "main")
	if got := history(t, dir); got != nil {
		t.Errorf("History of an empty repository: got %v", got)
	}
	inFile, fileToken := newToken()
	inMessage, messageToken := newToken()
	inTag, tagToken := newToken()
	inStash, stashToken := newToken()
	lost, lostToken := newToken()
	commit := func(text, message string) string {
		write(t, filepath.Join(dir, "conf", "my file.env"), text)
		git(t, dir, "add", "-A")
		git(t, dir, "commit", "-qm", message)
		return git(t, dir, "rev-parse", "--short=10", "HEAD")
	}
	commit("A=1\n", "begin")
	leak := commit("A=1\nKEY="+fileToken+"\n", "leak")
	commit("A=1\n", "take it out")
	told := commit("A=2\n", "told all: "+messageToken)
	git(t, dir, "tag", "-a", "v1", "-m", tagToken)
	commit("A=2 again\n", "a stash repeats this line")
	gone := commit("A=3 "+lostToken+"\n", "rewritten")
	git(t, dir, "reset", "-q", "--hard", "HEAD~1")
	write(t, filepath.Join(dir, "conf", "my file.env"), stashToken)
	git(t, dir, "stash", "-q")
	stash := git(t, dir, "rev-parse", "--short=10", "stash@{0}")
	want := []string{
		"conf/my file.env 2 " + leak + " " + inFile,
		"commit message 6 " + told + " " + inMessage,
		"conf/my file.env 1 " + gone + " " + lost,
		"conf/my file.env 1 " + stash + " " + inStash,
		"tag message v1 6  " + inTag,
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, history(t, dir)); diff != "" {
		t.Errorf("History (-want +got):\n%s", diff)
	}
	if got := history(t, filepath.Join(dir, "conf")); len(got) != len(want) {
		t.Errorf("History from a folder below: got %v", got)
	}
}

// Attack: a scan must not run programs that the repository configures.
func TestHistoryRunsNothing(t *testing.T) {
	dir := t.TempDir()
	git(t, dir, "init", "-q", "-b", "main")
	id, token := newToken()
	ran := filepath.Join(dir, "ran")
	write(t, filepath.Join(dir, ".gitattributes"), "* diff=evil filter=evil\n")
	write(t, filepath.Join(dir, "a"), token)
	git(t, dir, "add", "-A")
	git(t, dir, "commit", "-qm", "x")
	for _, name := range []string{"diff.evil.textconv", "diff.evil.command", "filter.evil.smudge", "filter.evil.clean", "core.fsmonitor", "core.pager", "core.sshCommand"} {
		git(t, dir, "config", name, "touch "+ran+"; cat")
	}
	if got := history(t, dir); len(got) != 1 || !strings.HasSuffix(got[0], id) {
		t.Errorf("History: got %v, want %s", got, id)
	}
	if _, err := os.Stat(ran); err == nil {
		t.Error("a program that the repository names was run")
	}
}

func TestHistoryOfNoRepository(t *testing.T) {
	err := scan.History(t.Context(), t.TempDir(), func(scan.Finding) {})
	if err == nil || !strings.Contains(err.Error(), "there is no git repository") {
		t.Errorf("History: got %v, want git's own words", err)
	}
}

// In a hook, git sets variables that name its repository. The named repository is scanned all
// the same.
func TestHistoryHeedsNoEnvironment(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	git(t, dir, "init", "-q", "-b", "main")
	git(t, other, "init", "-q", "-b", "main")
	id, token := newToken()
	write(t, filepath.Join(dir, "a"), token)
	git(t, dir, "add", "-A")
	git(t, dir, "commit", "-qm", "x")
	t.Setenv("GIT_DIR", filepath.Join(other, ".git"))
	if got := history(t, dir); len(got) != 1 || !strings.HasSuffix(got[0], id) {
		t.Errorf("History: got %v, want %s", got, id)
	}
}

package demo_test

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/mcpkeys/mcpkeys/internal/app/demo"
	"github.com/mcpkeys/mcpkeys/internal/base/shell"
	"github.com/mcpkeys/mcpkeys/keys"
)

// TestServe does what the printed commands do: a call without the key, with it, and after its
// revocation.
func TestServe(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, w := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- errorsClose(w, demo.Serve(ctx, realKeyctl(), w, nil)) }()
	text := readUntil(t, r, "Ctrl-C")
	go func() { _, _ = io.Copy(io.Discard, r) }()

	if keys.HoldsToken(text) {
		t.Error("Serve printed the key")
	}
	urls := regexp.MustCompile(`runs at\s(http://\S+)`).FindAllStringSubmatch(text, -1)
	if len(urls) != 2 {
		t.Fatalf("Serve printed %d addresses of servers, want 2:\n%s", len(urls), text)
	}
	dirs, err := filepath.Glob(filepath.Join(tmp, "mcpkeys-demo-*"))
	if err != nil || len(dirs) != 1 {
		t.Fatalf("directories of the demo: %v, %v", dirs, err)
	}
	dir := dirs[0]
	for _, name := range []string{"key", "headers", "mcpkeys.db", "mcpkeys.db.pepper"} {
		if mode := must(os.Stat(filepath.Join(dir, name))).Mode().Perm(); mode != 0o600 {
			t.Errorf("mode of %s: got %04o, want 0600", name, mode)
		}
	}
	body := string(must(os.ReadFile(filepath.Join(dir, "call.json"))))
	headers := string(must(os.ReadFile(filepath.Join(dir, "headers"))))

	for _, url := range urls {
		if status, _ := post(t, url[1], body, ""); status != http.StatusUnauthorized {
			t.Errorf("call without the key: got %d, want 401", status)
		}
		if status, answer := post(t, url[1], body, headers); status != http.StatusOK || !strings.Contains(answer, "-13") {
			t.Errorf("call with the key: got %d and %q, want 200 and the wind chill", status, answer)
		}
	}
	revoke := regexp.MustCompile(`keyctl (--db \S+ revoke \S+ --yes)`).FindStringSubmatch(text)
	if out, err := exec.Command(realKeyctl().Path, strings.Fields(revoke[1])...).CombinedOutput(); err != nil {
		t.Fatalf("the printed revoke: %v: %s", err, out)
	}
	for _, url := range urls {
		if status, _ := post(t, url[1], body, headers); status != http.StatusUnauthorized {
			t.Errorf("call with the revoked key: got %d, want 401", status)
		}
	}

	cancel()
	if err := <-ended; err != nil {
		t.Errorf("Serve: %v", err)
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("Serve left its directory behind")
	}
}

// The printed commands can be pasted, whatever the name of the temporary directory.
func TestServeWhereNamesHaveSpaces(t *testing.T) {
	tmp := filepath.Join(t.TempDir(), "it's a d$r")
	mustDo(os.Mkdir(tmp, 0o700))
	t.Setenv("TMPDIR", tmp)
	keyctl := realKeyctl()
	keyctl.Shown = shell.Quote(keyctl.Path)
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- errorsClose(w, demo.Serve(ctx, keyctl, w, nil)) }()
	text := readUntil(t, r, "Ctrl-C")
	go func() { _, _ = io.Copy(io.Discard, r) }()

	for line, want := range map[string]string{
		`(?m)^  (\S+ --db .* list)$`:              "demo-agent",
		`(?m)^  (export MCPKEYS_DEMO_KEY=.*)$`:    "mcpk_",
		`(?ms)^  (curl \S+ -d @[^\n]* \\\n.*?)\n`: "headers",
	} {
		found := regexp.MustCompile(line).FindStringSubmatch(text)
		if found == nil {
			t.Fatalf("nothing like %s in\n%s", line, text)
		}
		script := `curl() { for a in "$@"; do case $a in @*) head -c 99 "${a#@}" >/dev/null || exit 9; echo "$a";; esac; done; }` + "\n"
		out, err := exec.Command("sh", "-c", script+found[1]+"\necho $MCPKEYS_DEMO_KEY").CombinedOutput()
		if err != nil || !strings.Contains(string(out), want) {
			t.Errorf("%s: got %v, want it to run and show %s", found[1], err, want)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("Serve: %v", err)
	}
}

func errorsClose(w *io.PipeWriter, err error) error {
	_ = w.Close() // never fails
	return err
}

func readUntil(t *testing.T, r io.Reader, end string) string {
	t.Helper()
	var text strings.Builder
	for lines := bufio.NewScanner(r); lines.Scan(); {
		text.WriteString(lines.Text() + "\n")
		if strings.Contains(lines.Text(), end) {
			return text.String()
		}
	}
	t.Fatalf("no %q in:\n%s", end, text.String())
	return ""
}

// post sends body with headers as curl -H @file reads them.
func post(t *testing.T, url, body, headers string) (int, string) {
	t.Helper()
	req := must(http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body)))
	for line := range strings.Lines(headers) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		req.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	answer := must(io.ReadAll(resp.Body))
	mustDo(resp.Body.Close())
	return resp.StatusCode, string(answer)
}

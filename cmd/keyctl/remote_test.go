package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/mcpkeys/mcpkeys/examples/mcpserver/weather"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/middleware"
	"github.com/mcpkeys/mcpkeys/middleware/mcpauth"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
	"github.com/mcpkeys/mcpkeys/verifier"
	"github.com/mcpkeys/mcpkeys/verifier/local"
)

// TestScriptsThroughServer runs the scripts of testdata/script again, with every command
// through a server: instead of keyctl init, a script makes a key store and an admin key,
// starts keyctl serve, and sets KEYCTL_SERVER.
func TestScriptsThroughServer(t *testing.T) {
	scripts, err := filepath.Glob("testdata/script/*.txtar")
	if err != nil || len(scripts) == 0 {
		t.Fatalf("Glob: got %d scripts, %v", len(scripts), err)
	}
	dir := t.TempDir()
	for _, path := range scripts {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		text = bytes.ReplaceAll(text, []byte("\nexec keyctl init\n"), []byte("\nremote\n"))
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(path)), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	runScripts(t, dir)
}

// cmdRemote makes a key store and puts a server before it.
func cmdRemote(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 0 {
		ts.Fatalf("usage: remote")
	}
	admin := ts.MkAbs(".admin.key")
	ts.Check(ts.Exec("keyctl", "init"))
	ts.Check(ts.Exec("keyctl", "issue", "remote", "--admin", "--expires", "never", "--max-key-life", "never", "--out-file", admin))
	ts.Setenv("KEYCTL_ADMIN_KEY_FILE", admin)
	ts.Setenv("KEYCTL_SERVER", startServer(ts))
}

// cmdServe starts keyctl serve and puts its address into SERVER.
func cmdServe(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("usage: serve [flags], serve stop")
	}
	if len(args) == 1 && args[0] == "stop" {
		stop, _ := servers.Load(ts.Getenv("WORK"))
		stop.(func())()
		return
	}
	ts.Setenv("SERVER", startServer(ts, args...))
}

// servers holds, by the folder of a script, the function that stops its last server.
var servers sync.Map

// listeningAt finds the address in the server's log, in either form.
var listeningAt = regexp.MustCompile(`url"?[=:]"?(https?://[^" ]+|unix:[^" ]+)`)

// startServer runs keyctl serve until the script ends, and then checks that its log does not
// hold a key.
func startServer(ts *testscript.TestScript, args ...string) (address string) {
	cmd := exec.Command(keyctlOf(ts), append([]string{"serve", "--listen", "127.0.0.1:0", "--drain", "0"}, args...)...)
	cmd.Dir = ts.MkAbs(".")
	cmd.Env = []string{"PATH=" + ts.Getenv("PATH"), "HOME=" + ts.Getenv("HOME"), "GORACE=atexit_sleep_ms=0", "GOCOVERDIR=" + os.Getenv("GOCOVERDIR")}
	stderr, err := cmd.StderrPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	var log strings.Builder
	lines := bufio.NewScanner(stderr)
	for address == "" && lines.Scan() {
		fmt.Fprintln(&log, lines.Text())
		if found := listeningAt.FindStringSubmatch(lines.Text()); found != nil {
			address = found[1]
		}
	}
	var rest sync.WaitGroup
	rest.Go(func() {
		for lines.Scan() {
			fmt.Fprintln(&log, lines.Text())
		}
	})
	stop := sync.OnceFunc(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		rest.Wait()
		if err := cmd.Wait(); err != nil {
			ts.Fatalf("keyctl serve: %v\n%s", err, log.String())
		}
		if keys.HoldsToken(log.String()) {
			ts.Fatalf("the server's log holds a key")
		}
		ts.Logf("[server]\n%s", log.String())
	})
	ts.Defer(stop)
	servers.Store(ts.Getenv("WORK"), stop)
	if address == "" {
		ts.Fatalf("keyctl serve: did not listen:\n%s", log.String())
	}
	return address
}

// keyctlOf finds the keyctl on the script's PATH.
func keyctlOf(ts *testscript.TestScript) string {
	for _, dir := range filepath.SplitList(ts.Getenv("PATH")) {
		if info, err := os.Stat(filepath.Join(dir, "keyctl")); err == nil && info.Mode().IsRegular() {
			return filepath.Join(dir, "keyctl")
		}
	}
	ts.Fatalf("no keyctl in PATH")
	return ""
}

// inFile matches a reference to the content of a file: @(ci.key).
var inFile = regexp.MustCompile(`@\(([a-z.]+)\)`)

// cmdRequest sends a request: request METHOD URL STATUS [key=FILE] [word=TEXT] [body=TEXT].
// @(FILE) in URL and TEXT is replaced by the content of that file. The answer goes to the
// file answer.
func cmdRequest(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: request METHOD URL STATUS [key=FILE] [word=TEXT] [body=TEXT]")
	}
	for i, arg := range args {
		args[i] = inFile.ReplaceAllStringFunc(arg, func(ref string) string {
			return strings.TrimSpace(ts.ReadFile(ref[2 : len(ref)-1]))
		})
	}
	var key, body, word string
	for _, arg := range args[3:] {
		if name, ok := strings.CutPrefix(arg, "key="); ok {
			key = strings.TrimSpace(ts.ReadFile(name))
		}
		if text, ok := strings.CutPrefix(arg, "body="); ok {
			body = text
		}
		if text, ok := strings.CutPrefix(arg, "word="); ok {
			word = text
		}
	}
	status, answer := post(ts, args[0], args[1], key, body, "application/json", word)
	ts.Check(os.WriteFile(ts.MkAbs("answer"), answer, 0o600))
	if strconv.Itoa(status) != args[2] {
		ts.Fatalf("%s: got %d %s, want %s", args[0], status, answer, args[2])
	}
}

func post(ts *testscript.TestScript, method, url, key, body, accept string, word ...string) (int, []byte) {
	r, err := http.NewRequest(method, url, strings.NewReader(body))
	ts.Check(err)
	if key != "" {
		r.Header.Set("Authorization", "Bearer "+key)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	r.Header.Set("Accept", accept)
	if word := strings.Join(word, ""); word != "" {
		r.Header.Set("Idempotency-Key", word)
	}
	resp, err := http.DefaultTransport.RoundTrip(r)
	ts.Check(err)
	answer, err := io.ReadAll(resp.Body)
	ts.Check(err)
	ts.Check(resp.Body.Close())
	return resp.StatusCode, answer
}

// cmdMCP runs an MCP server that is guarded like examples/mcpserver: mcp start DB; mcp call
// KEYFILE STATUS, which sends initialize with the key; and mcp stop, which writes the usage
// counts.
func cmdMCP(ts *testscript.TestScript, neg bool, args []string) {
	switch {
	case !neg && len(args) == 2 && args[0] == "start":
		startMCP(ts, ts.MkAbs(args[1]))
	case !neg && len(args) == 3 && args[0] == "call":
		key := strings.TrimSpace(ts.ReadFile(args[1]))
		const hello = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"script","version":"1"}}}`
		status, answer := post(ts, http.MethodPost, ts.Getenv("MCP"), key, hello, "application/json, text/event-stream")
		if strconv.Itoa(status) != args[2] {
			ts.Fatalf("MCP call: got %d %s, want %s", status, answer, args[2])
		}
	case !neg && len(args) == 1 && args[0] == "stop":
		stop, _ := ts.Value(mcpStop{}).(*func())
		(*stop)()
	default:
		ts.Fatalf("usage: mcp start DB | mcp call KEYFILE STATUS | mcp stop")
	}
}

func startMCP(ts *testscript.TestScript, db string) {
	st, err := sqlite.OpenVerifier(db, nil)
	ts.Check(err)
	v, err := verifier.New(local.New(st, nil), nil)
	ts.Check(err)
	guard := middleware.New(v, &middleware.Options{Logger: slog.New(slog.DiscardHandler)})
	srv := httptest.NewServer(mcpauth.Handler(guard, weather.New(), nil))
	stop := sync.OnceFunc(func() {
		srv.Close()
		ts.Check(v.Close())
		ts.Check(st.Close())
	})
	ts.Defer(stop)
	running, _ := ts.Value(mcpStop{}).(*func())
	*running = stop
	ts.Setenv("MCP", srv.URL)
}

// mcpStop is the key of a script's value that stops its MCP server.
type mcpStop struct{}

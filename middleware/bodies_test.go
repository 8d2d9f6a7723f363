package middleware_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/internal/dev/guardtest"
	"github.com/mcpkeys/mcpkeys/middleware"
	"github.com/mcpkeys/mcpkeys/middleware/mcpauth"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
	"github.com/mcpkeys/mcpkeys/verifier"
	"github.com/mcpkeys/mcpkeys/verifier/local"
)

// roleVar makes this binary a server: the database that it serves.
const roleVar = "MCPKEYS_TEST_SERVE"

func TestMain(m *testing.M) {
	db := os.Getenv(roleVar)
	if db == "" {
		os.Exit(m.Run())
	}
	if err := serveAll(db); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// serveAll guards one handler of each kind, with a server without its own time limits, until
// standard input ends. It prints its address.
func serveAll(db string) error {
	st, err := sqlite.OpenVerifier(db, nil)
	if err != nil {
		return err
	}
	v, err := verifier.New(local.New(st, nil), nil)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	for name, h := range adapters(middleware.New(v, &middleware.Options{Audience: guardtest.Audience})) {
		name = "/" + strings.ReplaceAll(name, "/", "-")
		mux.Handle(name, http.StripPrefix(name, rooted(h)))
		mux.Handle("/scoped"+name, middleware.New(v, &middleware.Options{Audience: guardtest.Audience}).Require(guardtest.Needed)(h))
	}
	mux.Handle("/broken", (&middleware.Guard{}).Require()(ok))
	mux.Handle("/", mcpauth.NotFound(nil))
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	go func() { _ = http.Serve(l, mux) }() // deliberately without time limits
	_, _ = io.Copy(io.Discard, os.Stdin)
	return nil
}

func rooted(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.URL.Path = "/"
		h.ServeHTTP(w, r)
	})
}

// serveElsewhere serves the keys in another process that may open 1024 files, and returns its
// address.
func serveElsewhere(t *testing.T, db string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", `ulimit -n 1024 && exec "$0"`, os.Args[0])
	cmd.Env = append(os.Environ(), roleVar+"="+db)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = stdin.Close()
		_ = cmd.Wait()
	})
	addr, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatalf("the server did not start: %v", err)
	}
	return strings.TrimSpace(addr)
}

const longTime = time.Minute

// promise opens a connection and sends a request that announces a body, without the body.
func promise(t *testing.T, addr, path string, lines ...string) net.Conn {
	t.Helper()
	conn, err := net.DialTimeout("tcp", addr, longTime)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(longTime))
	head := "POST " + path + " HTTP/1.1\r\nHost: " + addr + "\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\n"
	for _, line := range append(lines, "Content-Length: 100000") {
		head += line + "\r\n"
	}
	if _, err := io.WriteString(conn, head+"\r\n"); err != nil {
		t.Fatal(err)
	}
	return conn
}

// Attack C3: a caller without a key announces a body and sends none. net/http waits for the
// body before it answers, without limit, and 1,000 such connections leave a server no file for
// callers with a valid key. Every refusal ends by itself, and the valid key is served before,
// while and after they wait.
func TestC3PromisedBodiesShutNobodyOut(t *testing.T) {
	k := guardtest.NewKeyring(t)
	token := k.Granted()
	addr := serveElsewhere(t, k.Path())
	served := func(when string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+addr+"/net-http", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-API-Key", token)
		client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: longTime}
		resp, err := client.Do(r)
		if err != nil {
			t.Fatalf("the good key %s: %v", when, err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Fatalf("the good key %s: got %d, want 200", when, resp.StatusCode)
		}
	}
	served("before")
	bad := "Authorization: Bearer mcpk_EXAMPLEkey00_thisIsTheDocumentedExampleKey0000000"
	good := "X-Api-Key: " + token
	refusals := []struct {
		path   string
		lines  []string
		status int
	}{
		{"/net-http", nil, 401},
		{"/gin", nil, 401},
		{"/mcp", nil, 401},
		{"/net-http", []string{bad}, 401},
		{"/gin", []string{bad}, 401},
		{"/mcp", []string{bad}, 401},
		{"/mcp", []string{"Origin: https://evil.example"}, 403},
		{"/scoped/net-http", []string{good}, 403},
		{"/net-http", []string{good, good}, 400},
		{"/broken", nil, 503},
		{"/nowhere", nil, 404},
		{"/register", nil, 400},
		{"/.well-known/oauth-authorization-server", nil, 404},
		{"/mcp", []string{good, "Mcp-Session-Id: MADEUP"}, 404},
	}
	var held []net.Conn
	for i := range 1000 {
		r := refusals[i%len(refusals)]
		held = append(held, promise(t, addr, r.path, r.lines...))
		if i%250 == 249 {
			served("meanwhile")
		}
	}
	served("at the end")
	for i, conn := range held {
		r := refusals[i%len(refusals)]
		in := bufio.NewReader(conn)
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatalf("%d: %s %v: %v, want %d", i, r.path, len(r.lines), err, r.status)
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != r.status {
			t.Errorf("%s with %d further lines: got %d, %v, want %d", r.path, len(r.lines), resp.StatusCode, err, r.status)
		}
		if _, err := in.ReadByte(); err == nil {
			t.Errorf("%s: something comes after the answer, want the connection closed", r.path)
		}
	}
	served("after")
}

// A caller that sends the body completely keeps its connection after a refusal, and no deadline
// of the refusal is left on it when the next request is read, however late.
func TestRefusedConnectionGoesOn(t *testing.T) {
	k := guardtest.NewKeyring(t)
	token := k.Granted()
	for name, h := range adapters(k.Guard(nil)) {
		conns := make(chan *timedConn, 1)
		srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			conn, _ := r.Context().Value(connKey{}).(*timedConn)
			if at, _ := conn.deadline.Load().(time.Time); !at.IsZero() {
				t.Errorf("%s: a request begins with the deadline %v on its connection, want none", name, at)
			}
			h.ServeHTTP(w, r)
		}))
		srv.Listener = timedListener{srv.Listener, conns}
		srv.Config.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, connKey{}, c)
		}
		srv.Start()
		conn, err := net.DialTimeout("tcp", srv.Listener.Addr().String(), longTime)
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(longTime))
		in := bufio.NewReader(conn)
		for i, key := range []string{"wrong", token, "wrong", "wrong", token} {
			r := post("X-API-Key", key)
			r.Host = srv.Listener.Addr().String()
			if err := r.Write(conn); err != nil {
				t.Fatal(err)
			}
			resp, err := http.ReadResponse(in, r)
			if err != nil {
				t.Fatalf("%s, request %d on one connection: %v", name, i+1, err)
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			if want := map[bool]int{true: 200, false: 401}[key == token]; resp.StatusCode != want || resp.Close {
				t.Errorf("%s, request %d: got %d, closed: %v; want %d and the connection to go on", name, i+1, resp.StatusCode, resp.Close, want)
			}
		}
		if hurried := (<-conns).hurried.Load(); hurried != 3 {
			t.Errorf("%s: %d refusals set a deadline, want 3", name, hurried)
		}
		_ = conn.Close()
		srv.Close()
	}
}

type connKey struct{}

// timedConn records its read deadline.
type timedConn struct {
	net.Conn
	deadline atomic.Value // time.Time
	hurried  atomic.Int64 // deadlines in the future
}

func (c *timedConn) SetReadDeadline(at time.Time) error {
	c.deadline.Store(at)
	if at.After(time.Now()) {
		c.hurried.Add(1)
	}
	return c.Conn.SetReadDeadline(at)
}

type timedListener struct {
	net.Listener
	conns chan *timedConn
}

func (l timedListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	timed := &timedConn{Conn: conn}
	l.conns <- timed
	return timed, nil
}

package server_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/internal/app/server"
	"github.com/mcpkeys/mcpkeys/internal/dev/servertest"
	"github.com/mcpkeys/mcpkeys/keys"
)

// logTo is a logger that can wait for the line with the url.
type logTo struct {
	mu    sync.Mutex
	b     bytes.Buffer
	lines chan string
}

func (l *logTo) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines <- string(p)
	return l.b.Write(p)
}

func (l *logTo) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// start runs the server and returns its first lines and a function that stops it.
func start(t *testing.T, o server.Options, lines int) (log string, stop func() error) {
	t.Helper()
	return startWith(t, &logTo{lines: make(chan string, 1000)}, o, lines)
}

// startWith is start with a log that the test reads later.
func startWith(t *testing.T, l *logTo, o server.Options, lines int) (log string, stop func() error) {
	t.Helper()
	o.Logger = slog.New(slog.NewTextHandler(l, nil))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx, o) }()
	for range lines {
		select {
		case line := <-l.lines:
			log += line
		case err := <-done:
			t.Fatalf("Run: got %v, want it to go on", err)
		}
	}
	return log, func() error { cancel(); return <-done }
}

func addressIn(t *testing.T, log string) string {
	t.Helper()
	_, rest, ok := strings.Cut(log, "url=")
	if !ok {
		t.Fatalf("log: got %q, want a url in it", log)
	}
	return strings.TrimSpace(strings.SplitN(rest, "\n", 2)[0])
}

// A server without an admin key says so and how to make one; it makes none itself.
func TestServeSaysHowToBegin(t *testing.T) {
	f := servertest.New(t)
	log, stop := start(t, server.Options{DB: f.Path, Listen: "127.0.0.1:0", FirstKey: "keyctl issue me --admin"}, 2)
	if !strings.Contains(log, "no admin key yet") || !strings.Contains(log, "keyctl issue me --admin") {
		t.Errorf("log: got %q, want how to make the first admin key", log)
	}
	if s := f.State(); s.Keys != 0 {
		t.Errorf("keys: got %d, want none", s.Keys)
	}
	resp, err := http.Get(addressIn(t, log) + "/readyz")
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("GET /readyz: got %v, %v", resp, err)
	}
	_ = resp.Body.Close()
	if err := stop(); err != nil {
		t.Errorf("Run: got %v, want nil once its context ended", err)
	}
	if _, err := http.Get(addressIn(t, log) + "/readyz"); err == nil {
		t.Error("GET after the end: got an answer")
	}
}

// Plain HTTP beyond this machine shows keys to anyone on the network path.
func TestServeRefusesPlainHTTPBeyondLoopback(t *testing.T) {
	f := servertest.New(t)
	for _, o := range []server.Options{
		{DB: f.Path, Listen: "0.0.0.0:0"},
		{DB: f.Path, Listen: ":0"},
		{DB: f.Path, Listen: "127.0.0.1:0", TLSCert: "cert.pem"},
		{DB: f.Path, Listen: "127.0.0.1:0", TLSCert: f.Path, TLSKey: f.Path},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second) // or a server that wrongly starts would never stop
		err := server.Run(ctx, o)
		cancel()
		var invalid *keys.InvalidError
		if !errors.As(err, &invalid) {
			t.Errorf("Run(%+v): got %v, want an InvalidError", o, err)
		}
	}
	f.Admin()
	log, stop := start(t, server.Options{DB: f.Path, Listen: "0.0.0.0:0", InsecureHTTP: true}, 2)
	if !strings.Contains(log, "level=WARN") || !strings.Contains(log, "keys can be read on the network") {
		t.Errorf("log: got %q, want a warning", log)
	}
	if err := stop(); err != nil {
		t.Errorf("Run: %v", err)
	}
}

func TestServeSpeaksTLS(t *testing.T) {
	f := servertest.New(t)
	f.Admin()
	cert, key, pool := certificate(t)
	log, stop := start(t, server.Options{DB: f.Path, Listen: "0.0.0.0:0", TLSCert: cert, TLSKey: key}, 1)
	address := addressIn(t, log)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, ServerName: "localhost"}}}
	defer client.CloseIdleConnections()
	at := "https://127.0.0.1" + address[strings.LastIndex(address, ":"):]
	resp, err := client.Get(at + "/healthz")
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("GET %s/healthz: got %v, %v", at, resp, err)
	}
	_ = resp.Body.Close()
	client.CloseIdleConnections()
	if err := stop(); err != nil {
		t.Errorf("Run: %v", err)
	}
}

// certificate makes a self-signed certificate for localhost.
func certificate(t *testing.T) (cert, key string, pool *x509.CertPool) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name, kind string, bytes []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: bytes}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	pool = x509.NewCertPool()
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool.AddCert(parsed)
	return write("cert.pem", "CERTIFICATE", der), write("key.pem", "PRIVATE KEY", pkcs8), pool
}

// A server that cannot read its keys is not ready, and does not say more.
func TestNotReadyWithoutItsStore(t *testing.T) {
	f := servertest.New(t)
	if err := f.Store.Close(); err != nil {
		t.Fatal(err)
	}
	if a := f.Send("GET", "/healthz", "", ""); a.Status != 200 {
		t.Errorf("GET /healthz: got %d, want 200", a.Status)
	}
	a := f.Send("GET", "/readyz", "", "")
	if a.Status != 503 || a.Problem(t).Code != "unavailable" || a.Header.Get("Retry-After") == "" {
		t.Errorf("GET /readyz: got %d %v %s, want 503 and Retry-After", a.Status, a.Header, a.Body)
	}
	if a := f.Send("GET", "/v1/whoami", keys.NewToken(keys.KindAdmin).Secret().Reveal(), ""); a.Status != 503 {
		t.Errorf("GET /v1/whoami: got %d, want 503: never let in", a.Status)
	}
}

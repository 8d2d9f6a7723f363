package main

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
)

// patience is how long the tests wait for a condition.
const patience = time.Minute

// serving is a keyctl serve that runs as a process.
type serving struct {
	t     *testing.T
	cmd   *exec.Cmd
	url   string
	db    string
	admin string // an admin key
	ended chan error

	mu  sync.Mutex
	log strings.Builder
}

func startServing(t *testing.T, args ...string) *serving {
	t.Helper()
	return startServingOver(t, func(string) {}, args...)
}

// startServingOver lets spoil do something to the key store, whose path it gets, before the
// server starts.
func startServingOver(t *testing.T, spoil func(db string), args ...string) *serving {
	t.Helper()
	s := &serving{t: t, db: filepath.Join(t.TempDir(), "keys.db"), ended: make(chan error, 1)}
	if err := sqlite.Create(s.db, nil); err != nil {
		t.Fatal(err)
	}
	st, err := sqlite.Open(s.db, nil)
	if err != nil {
		t.Fatal(err)
	}
	m, err := admin.NewLocal(st, "test", nil)
	if err != nil {
		t.Fatal(err)
	}
	issued, err := m.Issue(t.Context(), admin.IssueRequest{Kind: keys.KindAdmin, Name: "me"})
	if err := errors.Join(err, st.Close()); err != nil {
		t.Fatal(err)
	}
	s.admin = issued.Token.Reveal()
	spoil(s.db)
	s.launch(args...)
	return s
}

// launch starts the server, which may have run before.
func (s *serving) launch(args ...string) {
	s.t.Helper()
	s.cmd = exec.Command("keyctl", append([]string{"serve", "--db", s.db, "--listen", "127.0.0.1:0"}, args...)...)
	s.cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0")
	stderr, err := s.cmd.StderrPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	cmd := s.cmd
	s.t.Cleanup(func() { _ = cmd.Process.Kill() })
	address := make(chan string, 1)
	go func() {
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			s.mu.Lock()
			fmt.Fprintln(&s.log, lines.Text())
			s.mu.Unlock()
			if found := listeningAt.FindStringSubmatch(lines.Text()); found != nil {
				address <- found[1]
			}
		}
		s.ended <- cmd.Wait()
	}()
	select {
	case s.url = <-address:
	case err := <-s.ended:
		s.t.Fatalf("keyctl serve: ended with %v before it listened:\n%s", err, s.text())
	}
}

func (s *serving) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.String()
}

func (s *serving) signal(which os.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(which); err != nil {
		s.t.Fatal(err)
	}
}

// wait fails the test unless the process ends with 0.
func (s *serving) wait() {
	s.t.Helper()
	select {
	case err := <-s.ended:
		if err != nil {
			s.t.Errorf("keyctl serve: ended with %v, want 0:\n%s", err, s.text())
		}
	case <-time.After(patience):
		s.t.Fatalf("keyctl serve: did not end:\n%s", s.text())
	}
}

// until waits for a condition, and fails the test after patience.
func (s *serving) until(what string, holds func() bool) {
	s.t.Helper()
	for end := time.Now().Add(patience); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			s.t.Fatalf("%s: did not happen:\n%s", what, s.text())
		}
	}
}

// get sends a GET request with the admin key. closing reports that the server closes the
// connection after its answer.
func (s *serving) get(client *http.Client, path string) (status int, closing bool, err error) {
	r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, s.url+path, nil)
	if err != nil {
		return 0, false, err
	}
	r.Header.Set("Authorization", "Bearer "+s.admin)
	resp, err := client.Do(r)
	if err != nil {
		return 0, false, err
	}
	defer func() { _ = resp.Body.Close() }()
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, resp.Close, err
}

// If the usage file cannot be used, keys are checked all the same. The log says at the start
// what is wrong and what to do.
func TestServeWithAUsageFileThatCannotBeUsed(t *testing.T) {
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name  string
		spoil func(usage string)
		want  string // in the log; empty for no warning
	}{
		{"as it is made", func(string) {}, ""},
		{"missing", func(usage string) { must(os.Remove(usage)) }, ""},
		{"said to be unknown", func(usage string) {
			must(os.Remove(usage))
			must(os.Mkdir(usage, 0o700))
			must(os.WriteFile(usage+".unknown", nil, 0o600))
		}, ""},
		{"a text", func(usage string) { must(os.WriteFile(usage, []byte(strings.Repeat("text ", 1000)), 0o600)) }, "is damaged; remove it"},
		{"another database", func(usage string) {
			must(os.Remove(usage))
			must(sqlite.Create(usage, &sqlite.Options{PepperFile: usage + ".p"}))
		}, "is not a usage file; move it away"},
		{"a directory", func(usage string) { must(os.Remove(usage)); must(os.Mkdir(usage, 0o700)) }, "is not a regular file, so not a usage file; move it away"},
		{"a link to nothing", func(usage string) { must(os.Remove(usage)); must(os.Symlink("nowhere", usage)) }, "is a symbolic link that leads to no file; remove it"},
		{"a link to itself", func(usage string) {
			must(os.Remove(usage))
			must(os.Symlink(filepath.Base(usage), usage))
		}, "is a symbolic link that leads to no file; remove it"},
		{"open to others", func(usage string) { must(os.Chmod(usage, 0o644)) }, "chmod 600 "},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := startServingOver(t, func(db string) { c.spoil(db + ".usage") })
			warned := strings.Count(s.text(), "their use is not recorded until this is fixed")
			if c.want == "" && warned != 0 || c.want != "" && (warned != 1 || !strings.Contains(s.text(), c.want)) {
				t.Errorf("the log has %d warnings, want %q:\n%s", warned, c.want, s.text())
			}
			client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
			if status, _, err := s.get(client, "/v1/whoami"); err != nil || status != http.StatusOK {
				t.Errorf("GET /v1/whoami: got %d, %v, want 200", status, err)
			}
		})
	}
}

// After SIGTERM the server closes each of 16 kept-open connections with an answer, is not
// ready while it still answers, and loses no request. A second signal then ends it, even
// during the drain.
func TestTERMResetsNoConnection(t *testing.T) {
	for _, end := range []os.Signal{syscall.SIGTERM, os.Interrupt} {
		t.Run(end.String(), func(t *testing.T) {
			s := startServing(t, "--drain", "1h")
			var warm, told sync.WaitGroup
			for range 16 {
				warm.Add(1)
				told.Go(func() {
					client := &http.Client{Transport: &http.Transport{MaxConnsPerHost: 1}}
					defer client.CloseIdleConnections()
					for n := 1; ; n++ {
						status, closing, err := s.get(client, "/v1/whoami")
						if err != nil || status != http.StatusOK {
							t.Errorf("request %d: got %d, %v, want 200", n, status, err)
						}
						if n == 20 || n < 20 && (err != nil || closing) {
							n = 20
							warm.Done()
						}
						if err != nil || closing {
							return
						}
					}
				})
			}
			warm.Wait()
			s.signal(end)
			told.Wait()
			fresh := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
			if status, _, err := s.get(fresh, "/v1/whoami"); err != nil || status != http.StatusOK {
				t.Errorf("a new connection during the drain: got %d, %v, want 200", status, err)
			}
			if status, _, err := s.get(fresh, "/readyz"); err != nil || status != http.StatusServiceUnavailable {
				t.Errorf("GET /readyz during the drain: got %d, %v, want 503", status, err)
			}
			if status, _, err := s.get(fresh, "/healthz"); err != nil || status != http.StatusOK {
				t.Errorf("GET /healthz during the drain: got %d, %v, want 200: the process is up", status, err)
			}
			s.signal(end)
			s.wait()
		})
	}
}

// Closing a listener resets connections that the kernel made and the server did not accept
// yet. Clients that connect for each request, as fast as they can, must get an answer or a
// refused connection.
func TestTERMResetsNoNewConnection(t *testing.T) {
	s := startServing(t, "--drain", "0")
	var answered atomic.Int64
	var clients sync.WaitGroup
	for range 16 {
		clients.Go(func() {
			client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
			for {
				status, _, err := s.get(client, "/healthz")
				if errors.Is(err, syscall.ECONNREFUSED) {
					return
				}
				if err != nil || status != http.StatusOK {
					t.Errorf("got %d, %v, want an answer or a refused connection", status, err)
					return
				}
				answered.Add(1)
			}
		})
	}
	s.until("load", func() bool { return answered.Load() > 500 })
	s.signal(syscall.SIGTERM)
	clients.Wait()
	s.wait()
	if t.Failed() {
		t.Logf("the log ends with:\n%s", tail(s.text()))
	}
}

// SIGHUP, with which a service manager reloads, does not end the server. From then on it uses a
// renewed certificate, but not a bad one.
func TestHUPReloadsTheCertificate(t *testing.T) {
	cert, key := filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	renew(t, cert, key, 1)
	s := startServing(t, "--tls-cert", cert, "--tls-key", key, "--drain", "0")
	if got := s.serial(); got != 1 {
		t.Fatalf("certificate: got number %d, want 1", got)
	}
	renew(t, cert, key, 2)
	s.signal(syscall.SIGHUP)
	s.until("the new certificate", func() bool { return s.serial() == 2 })

	if err := os.WriteFile(key, []byte("half a f"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.signal(syscall.SIGHUP)
	s.until("a word about the bad pair", func() bool { return strings.Contains(s.text(), "the old one stays in use") })
	if got := s.serial(); got != 2 {
		t.Errorf("after a bad pair: got certificate %d, want the one before", got)
	}
	client := &http.Client{Transport: &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: trusting()}}
	defer client.CloseIdleConnections()
	resp, err := client.Get(s.url + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK || resp.ProtoMajor != 2 {
		t.Errorf("GET /readyz: got %d over %s, want 200 over HTTP/2", resp.StatusCode, resp.Proto)
	}
	s.signal(syscall.SIGTERM)
	s.wait()
}

// Without TLS there is nothing to reload, and SIGHUP does not end the server.
func TestHUPWithoutTLSEndsNothing(t *testing.T) {
	s := startServing(t, "--drain", "0")
	s.signal(syscall.SIGHUP)
	s.until("a word about it", func() bool { return strings.Contains(s.text(), "this server runs without TLS") })
	if status, _, err := s.get(http.DefaultClient, "/v1/whoami"); err != nil || status != http.StatusOK {
		t.Errorf("GET /v1/whoami: got %d, %v, want 200", status, err)
	}
	http.DefaultClient.CloseIdleConnections()
	s.signal(syscall.SIGTERM)
	s.wait()
}

// trusting accepts any certificate; the tests check which one it is.
func trusting() *tls.Config {
	return &tls.Config{InsecureSkipVerify: true}
}

// serial is the number of the certificate that a new connection gets.
func (s *serving) serial() int64 {
	s.t.Helper()
	conn, err := tls.Dial("tcp", strings.TrimPrefix(s.url, "https://"), trusting())
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	return conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
}

// renew writes a certificate for this machine that signs itself.
func renew(t *testing.T, cert, key string, serial int64) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
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
	for path, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: pkcs8}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func tail(text string) string { return text[max(0, len(text)-1500):] }

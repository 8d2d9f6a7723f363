//go:build linux

package fleet_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"maps"
	"math/big"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/admin/client"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
)

// soakVar is set by `make soak`.
const soakVar = "MCPKEYS_SOAK"

// fleet is a server, guards on other hosts, and keys that are revoked.
type fleet struct {
	t       *testing.T
	dir     string
	keyctl  string
	db      string
	port    int
	secrets []string
	ids     []string
	guards  []*guardProcess
	remote  *client.Client
	random  *mathrand.Rand

	mu       sync.Mutex // guards what follows
	server   *exec.Cmd
	returned []uint64 // when the revocation of each key returned; 0: it has not
	took     []time.Duration
	next     int
	happened map[string]int
}

// guardProcess is one guard, and the network between it and the server.
type guardProcess struct {
	board   *board
	network network
	args    []string
	mu      sync.Mutex
	cmd     *exec.Cmd
}

// network lies between a guard and the server.
type network interface {
	url() string
	command(name string, args ...string) *exec.Cmd // runs on the guard's host
	cut(bool)
}

const hosts = 3

// The promise over hosts (P2f): no check that begins after a revocation returned accepts the
// key, while servers and guards are stopped and killed, and the network between them is cut.
// Half of the revocations go through the server, the others to the file; some of these are
// stopped on the way, or killed and made again.
func TestRevokedOnEveryHost(t *testing.T) {
	revocations := 24
	soak := os.Getenv(soakVar) != ""
	if soak {
		revocations = 300
	}
	f := newFleet(t, revocations)
	f.start(1, func(i int) network {
		if soak {
			return newNamespace(t, i, f.port)
		}
		return newRelay(t, f.port)
	})
	f.window(0)
	f.until("each guard accepts keys", func() bool {
		return !slices.ContainsFunc(f.guards, func(g *guardProcess) bool { return g.board.get(wordAccepted) < 100 })
	})
	f.holdsNothing()
	over := make(chan struct{})
	var accidents sync.WaitGroup
	accidents.Go(func() { f.accidents(over, f.toGuards()) })
	accidents.Go(func() { f.accidents(over, f.toServer()) })
	var all sync.WaitGroup
	for range 3 {
		all.Go(f.revokeAll)
	}
	all.Wait()
	close(over)
	accidents.Wait()
	f.window(len(f.ids)) // the last ones are checked a while longer
	time.Sleep(3 * time.Second)
	f.judge()
}

// holdsNothing: a guard has neither key store nor pepper open (P14).
func (f *fleet) holdsNothing() {
	for _, g := range f.guards {
		open, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", g.cmd.Process.Pid))
		if err != nil || len(open) == 0 {
			f.t.Fatalf("no descriptors of the guard: %v", err)
		}
		mapped, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", g.cmd.Process.Pid))
		if err != nil {
			f.t.Fatal(err)
		}
		for _, fd := range open {
			name, _ := os.Readlink(fd)
			if strings.HasPrefix(name, f.db) {
				f.t.Errorf("a guard has %s open", name)
			}
		}
		if strings.Contains(string(mapped), f.db) {
			f.t.Error("a guard has a file of the key store in its memory")
		}
	}
}

// A server that is killed under load and starts again: nothing is accepted wrongly, and all
// verifiers work again. How many checks were refused, and for how long, is reported.
func TestServerStartsAgainUnderLoad(t *testing.T) {
	f := newFleet(t, 20)
	f.start(10, func(int) network { return newRelay(t, f.port) })
	f.window(0)
	f.until("all guards accept keys", func() bool {
		return !slices.ContainsFunc(f.guards, func(g *guardProcess) bool { return g.board.get(wordAccepted) < 2000 })
	})
	before := f.sum(wordUnknown)
	down := time.Now()
	f.signalServer(syscall.SIGKILL)
	_ = f.server.Wait()
	f.revokeByFile(f.ids[0])
	f.returned[0] = clock()
	time.Sleep(time.Second)
	up := time.Now()
	f.startServer()
	f.until("no check is left undecided", func() bool {
		was, accepted := f.sum(wordUnknown), f.sum(wordAccepted)
		time.Sleep(200 * time.Millisecond)
		return f.sum(wordUnknown) == was && f.sum(wordAccepted) > accepted+100
	})
	t.Logf("30 verifiers, server away for %v: %d checks not decided, all decided again %v after its start",
		up.Sub(down).Round(time.Millisecond), f.sum(wordUnknown)-before, (time.Since(up) - 200*time.Millisecond).Round(time.Millisecond))
	f.revokeByFile(f.ids[1])
	f.returned[1] = clock()
	time.Sleep(time.Second)
	for i := range 2 {
		for h, g := range f.guards {
			if last := g.board.get(wordKeys + i); last > f.returned[i] {
				t.Errorf("host %d accepted key %d in a check that began %v after its revocation had returned", h, i, time.Duration(last-f.returned[i]))
			}
		}
	}
}

func (f *fleet) sum(word int) (n uint64) {
	for _, g := range f.guards {
		n += g.board.get(word)
	}
	return n
}

func newFleet(t *testing.T, size int) *fleet {
	t.Helper()
	dir := t.TempDir()
	f := &fleet{t: t, dir: dir, keyctl: filepath.Join(dir, "keyctl"), db: filepath.Join(dir, "keys.db"), returned: make([]uint64, size), happened: map[string]int{}}
	seed := uint64(time.Now().UnixNano())
	f.random = mathrand.New(mathrand.NewPCG(seed, 0))
	t.Logf("seed %d", seed)
	run(t, exec.Command("go", "build", "-o", f.keyctl, "github.com/mcpkeys/mcpkeys/cmd/keyctl"))
	if err := sqlite.Create(f.db, nil); err != nil {
		t.Fatal(err)
	}
	st, err := sqlite.Open(f.db, nil)
	if err != nil {
		t.Fatal(err)
	}
	m, err := admin.NewLocal(st, "test", nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range size {
		issued, err := m.Issue(t.Context(), admin.IssueRequest{Name: fmt.Sprintf("key-%d", i), Scopes: []string{"*"}})
		if err != nil {
			t.Fatal(err)
		}
		f.secrets, f.ids = append(f.secrets, issued.Token.Reveal()), append(f.ids, issued.Key.ID)
	}
	verify, err := m.Issue(t.Context(), admin.IssueRequest{Name: "guards", Kind: keys.KindAdmin, Scopes: []string{keys.ScopeVerify}, Audience: []string{"weather"}})
	if err != nil {
		t.Fatal(err)
	}
	boss, err := m.Issue(t.Context(), admin.IssueRequest{Name: "boss", Kind: keys.KindAdmin})
	if err != nil {
		t.Fatal(err)
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	f.write("verify.key", verify.Token.Reveal())
	f.write("secrets", strings.Join(f.secrets, "\n"))
	f.certify()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f.port = l.Addr().(*net.TCPAddr).Port
	_ = l.Close()
	roots := x509.NewCertPool()
	text, _ := os.ReadFile(f.path("cert.pem"))
	roots.AppendCertsFromPEM(text)
	f.remote, err = client.New(fmt.Sprintf("https://127.0.0.1:%d", f.port), boss.Token, &client.Options{
		Timeout: 4 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *fleet) path(name string) string { return filepath.Join(f.dir, name) }

func (f *fleet) write(name, text string) {
	if err := os.WriteFile(f.path(name), []byte(text+"\n"), 0o600); err != nil {
		f.t.Fatal(err)
	}
}

// certify makes a certificate for all addresses of the test.
func (f *fleet) certify() {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	for i := range hosts {
		c.IPAddresses = append(c.IPAddresses, net.ParseIP(hostAddress(i)))
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		f.t.Fatal(err)
	}
	private, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		f.t.Fatal(err)
	}
	f.write("cert.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	f.write("key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: private})))
}

// start starts the server and the guards.
func (f *fleet) start(verifiers int, networkOf func(i int) network) {
	f.startServer()
	f.t.Cleanup(f.stop)
	for i := range hosts {
		name := f.path(fmt.Sprintf("board-%d", i))
		b, err := openBoard(name, len(f.ids))
		if err != nil {
			f.t.Fatal(err)
		}
		n := networkOf(i)
		g := &guardProcess{board: b, network: n, args: []string{n.url(), f.path("verify.key"), f.path("cert.pem"), f.path("secrets"), name, strconv.Itoa(verifiers)}}
		f.guards = append(f.guards, g)
		f.startGuard(g)
	}
}

func (f *fleet) startServer() {
	f.mu.Lock()
	defer f.mu.Unlock()
	cmd := exec.Command(f.keyctl, "serve", "--db", f.db, "--listen", fmt.Sprintf("0.0.0.0:%d", f.port),
		"--tls-cert", f.path("cert.pem"), "--tls-key", f.path("key.pem"), "--drain", "0")
	log, err := os.OpenFile(f.path("server.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		f.t.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	cmd.Stderr = log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		f.t.Fatal(err)
	}
	f.server = cmd
}

func (f *fleet) startGuard(g *guardProcess) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.cmd = g.network.command(os.Args[0], g.args...)
	g.cmd.Env = append(os.Environ(), roleVar+"=1")
	g.cmd.Stderr = os.Stderr
	if err := g.cmd.Start(); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fleet) stop() {
	for _, g := range f.guards {
		g.network.cut(false)
		g.signal(syscall.SIGKILL)
		_ = g.cmd.Wait()
	}
	f.signalServer(syscall.SIGKILL)
	_ = f.server.Wait()
	if f.t.Failed() {
		log, _ := os.ReadFile(f.path("server.log"))
		f.t.Logf("the server's log ends with:\n%s", log[max(0, len(log)-4000):])
	}
}

func (f *fleet) signalServer(s syscall.Signal) {
	f.mu.Lock()
	defer f.mu.Unlock()
	_ = f.server.Process.Signal(s)
}

func (g *guardProcess) signal(s syscall.Signal) {
	g.mu.Lock()
	defer g.mu.Unlock()
	_ = g.cmd.Process.Signal(s)
}

// window has the guards check the keys around the next one to revoke.
func (f *fleet) window(next int) {
	from, to := max(0, next-8), min(len(f.ids), next+8)
	for _, g := range f.guards {
		g.board.set(wordFrom, 0) // never an empty or negative one in between
		g.board.set(wordTo, uint64(to))
		g.board.set(wordFrom, uint64(from))
	}
}

// revokeAll revokes one key after the other.
func (f *fleet) revokeAll() {
	for {
		f.mu.Lock()
		i := f.next
		f.next++
		f.mu.Unlock()
		if i >= len(f.ids) {
			return
		}
		f.window(i)
		f.mu.Lock()
		way := f.random.IntN(6)
		early := time.Duration(f.random.IntN(40)) * time.Millisecond
		f.mu.Unlock()
		began := time.Now()
		switch {
		case way >= 3 && f.revokeByServer(f.ids[i]):
		case way == 0:
			f.revokeKilled(f.ids[i], early)
			began = time.Now()
			f.revokeByFile(f.ids[i])
		case way == 1:
			f.revokePaused(f.ids[i], early)
		default:
			f.revokeByFile(f.ids[i])
		}
		at := clock()
		f.mu.Lock()
		f.returned[i] = at
		f.took = append(f.took, time.Since(began))
		f.mu.Unlock()
	}
}

func (f *fleet) revokeByServer(id string) bool {
	ctx, cancel := context.WithTimeout(f.t.Context(), 4*time.Second)
	defer cancel()
	_, err := f.remote.Revoke(ctx, id, "")
	return err == nil
}

func (f *fleet) revokeByFile(id string) {
	out, err := exec.Command(f.keyctl, "--db", f.db, "revoke", id, "--yes").CombinedOutput()
	if err != nil {
		f.t.Errorf("revoke: %v\n%s", err, out)
	}
}

// revokePaused stops a revocation on its way, also between its commit and its announcement.
func (f *fleet) revokePaused(id string, after time.Duration) {
	cmd := exec.Command(f.keyctl, "--db", f.db, "revoke", id, "--yes")
	if err := cmd.Start(); err != nil {
		f.t.Error(err)
		return
	}
	time.Sleep(after)
	_ = cmd.Process.Signal(syscall.SIGSTOP)
	time.Sleep(f.pause(50, 500))
	_ = cmd.Process.Signal(syscall.SIGCONT)
	if err := cmd.Wait(); err != nil {
		f.t.Errorf("revoke: %v", err)
	}
}

// revokeKilled begins a revocation and kills it after a while.
func (f *fleet) revokeKilled(id string, after time.Duration) {
	cmd := exec.Command(f.keyctl, "--db", f.db, "revoke", id, "--yes")
	if err := cmd.Start(); err != nil {
		f.t.Error(err)
		return
	}
	time.Sleep(after)
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
}

// accidents happen until it is over, one after the other. Each comes before any comes again.
func (f *fleet) accidents(over <-chan struct{}, all map[string]func()) {
	for {
		names := slices.Sorted(maps.Keys(all))
		f.mu.Lock()
		f.random.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
		f.mu.Unlock()
		for _, name := range names {
			select {
			case <-over:
				return
			case <-time.After(f.pause(200, 1500)):
			}
			all[name]()
			f.mu.Lock()
			f.happened[name]++
			f.mu.Unlock()
		}
	}
}

func (f *fleet) any() *guardProcess { return f.guards[f.roll(len(f.guards))] }

// toGuards is what happens to one guard at a time.
func (f *fleet) toGuards() map[string]func() {
	return map[string]func(){
		"guard cut off": func() {
			g := f.any()
			g.network.cut(true)
			time.Sleep(f.pause(100, 4000))
			g.network.cut(false)
		},
		"guard stopped": func() {
			g := f.any()
			g.signal(syscall.SIGSTOP)
			time.Sleep(f.pause(100, 4000))
			g.signal(syscall.SIGCONT)
		},
		"guard killed": func() {
			g := f.any()
			g.signal(syscall.SIGKILL)
			_ = g.cmd.Wait()
			f.startGuard(g)
		},
	}
}

func (f *fleet) toServer() map[string]func() {
	return map[string]func(){
		"server stopped": func() {
			f.signalServer(syscall.SIGSTOP)
			time.Sleep(f.pause(100, 4000))
			f.signalServer(syscall.SIGCONT)
		},
		"server killed": func() {
			f.signalServer(syscall.SIGKILL)
			_ = f.server.Wait()
			time.Sleep(f.pause(0, 500))
			f.startServer()
		},
	}
}

func (f *fleet) roll(n int) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.random.IntN(n)
}

func (f *fleet) pause(from, to int) time.Duration {
	return time.Duration(from+f.roll(to-from)) * time.Millisecond
}

// judge compares when checks began that were accepted with when the revocations returned.
func (f *fleet) judge() {
	f.mu.Lock()
	defer f.mu.Unlock()
	wrong, seen := 0, 0
	for i, returned := range f.returned {
		for h, g := range f.guards {
			last := g.board.get(wordKeys + i)
			if last != 0 {
				seen++
			}
			if last > returned {
				wrong++
				f.t.Errorf("host %d accepted key %d in a check that began %v after its revocation had returned", h, i, time.Duration(last-returned))
			}
		}
	}
	var accepted, refused, unknown uint64
	for _, g := range f.guards {
		accepted, refused, unknown = accepted+g.board.get(wordAccepted), refused+g.board.get(wordRefused), unknown+g.board.get(wordUnknown)
	}
	slices.Sort(f.took)
	f.t.Logf("%d revocations: p50 %v, max %v; %d checks accepted, %d refused, %d not decided; accidents: %v; accepted after the revocation returned: %d",
		len(f.took), f.took[len(f.took)/2], f.took[len(f.took)-1], accepted, refused, unknown, f.happened, wrong)
	if seen < len(f.returned) {
		f.t.Errorf("only %d of %d pairs of key and host were ever accepted: the test shows too little", seen, hosts*len(f.returned))
	}
}

func (f *fleet) until(what string, is func() bool) {
	f.t.Helper()
	for end := time.Now().Add(60 * time.Second); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			f.t.Fatalf("waited in vain until %s", what)
		}
	}
}

func run(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd, err, out)
	}
}

//go:build linux

package fleet_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// relay is a network between two programs of one machine. While it is cut, what was sent is
// held back, and arrives late.
type relay struct {
	listener net.Listener
	target   string
	isCut    atomic.Bool
}

func newRelay(t *testing.T, port int) *relay {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	r := &relay{listener: l, target: fmt.Sprintf("127.0.0.1:%d", port)}
	go r.accept()
	return r
}

func (r *relay) url() string { return "https://" + r.listener.Addr().String() }
func (r *relay) cut(on bool) { r.isCut.Store(on) }

func (r *relay) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

func (r *relay) accept() {
	for {
		from, err := r.listener.Accept()
		if err != nil {
			return
		}
		go func() {
			defer func() { _ = from.Close() }()
			r.wait()
			to, err := net.Dial("tcp", r.target)
			if err != nil {
				return
			}
			defer func() { _ = to.Close() }()
			done := make(chan struct{}, 2)
			go r.copy(from, to, done)
			go r.copy(to, from, done)
			<-done
		}()
	}
}

func (r *relay) wait() {
	for r.isCut.Load() {
		time.Sleep(time.Millisecond)
	}
}

func (r *relay) copy(from, to net.Conn, done chan<- struct{}) {
	defer func() { done <- struct{}{} }()
	part := make([]byte, 16<<10)
	for {
		n, err := from.Read(part)
		r.wait()
		if _, failed := to.Write(part[:n]); err != nil || failed != nil {
			return
		}
	}
}

// namespace is a host of its own: a network namespace with one link to this one.
type namespace struct {
	t          *testing.T
	name, link string
	address    string
	port       int
}

// hostAddress is this machine's address on the link to host i.
func hostAddress(i int) string { return fmt.Sprintf("10.231.%d.1", i) }

func newNamespace(t *testing.T, i, port int) *namespace {
	t.Helper()
	pid := os.Getpid() % 10000
	n := &namespace{t: t, name: fmt.Sprintf("mcpk%d-%d", pid, i), link: fmt.Sprintf("mk%d-%d", pid, i), address: hostAddress(i), port: port}
	inside := n.link + "p"
	t.Cleanup(func() { _ = exec.Command("ip", "netns", "delete", n.name).Run() })
	for _, line := range []string{
		"netns add " + n.name,
		"link add " + n.link + " type veth peer name " + inside,
		"link set " + inside + " netns " + n.name,
		"address add " + n.address + "/24 dev " + n.link,
		"link set " + n.link + " up",
		"-n " + n.name + " address add " + fmt.Sprintf("10.231.%d.2/24", i) + " dev " + inside,
		"-n " + n.name + " link set " + inside + " up",
		"-n " + n.name + " link set lo up",
	} {
		run(t, exec.Command("ip", strings.Fields(line)...))
	}
	return n
}

func (n *namespace) url() string { return fmt.Sprintf("https://%s:%d", n.address, n.port) }

func (n *namespace) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command("ip", append([]string{"netns", "exec", n.name, name}, args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

func (n *namespace) cut(on bool) {
	state := "up"
	if on {
		state = "down"
	}
	if out, err := exec.Command("ip", "link", "set", n.link, state).CombinedOutput(); err != nil {
		n.t.Errorf("ip link set %s: %v\n%s", state, err, out)
	}
}

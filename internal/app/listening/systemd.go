package listening

import (
	"context"
	"errors"
	"net"
	"os"
	"strconv"
)

// The protocol of systemd, which other supervisors use as well: LISTEN_FDS and LISTEN_PID give
// a process its socket, and NOTIFY_SOCKET is where it says that it is ready.

// firstSocket is the number of the first descriptor that is passed.
const firstSocket = 3

// inherited returns the socket that the supervisor opened; nil if there is none. Other programs
// that this process starts do not get it.
func inherited() (net.Listener, error) {
	pid, count := os.Getenv("LISTEN_PID"), os.Getenv("LISTEN_FDS")
	for _, name := range []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"} {
		_ = os.Unsetenv(name) // fails only on names that are not valid
	}
	if pid != strconv.Itoa(os.Getpid()) || count == "" || count == "0" {
		return nil, nil
	}
	if count != "1" {
		return nil, errors.New("the supervisor passed several sockets (LISTEN_FDS); this server takes one")
	}
	closeOnExec(firstSocket)
	f := os.NewFile(firstSocket, "LISTEN_FDS")
	if f == nil {
		return nil, errNoSocket
	}
	defer func() { _ = f.Close() }() // the listener has its own descriptor
	listener, err := net.FileListener(f)
	if err != nil {
		return nil, errNoSocket
	}
	return listener, nil
}

var errNoSocket = errors.New("the supervisor did not pass a stream socket (LISTEN_FDS); check its configuration")

// Notify tells the supervisor about the state, such as READY=1. A supervisor that does not
// listen is not a fault of this server.
func Notify(ctx context.Context, state string) {
	at := os.Getenv("NOTIFY_SOCKET")
	if at == "" {
		return
	}
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unixgram", at)
	if err != nil {
		return
	}
	_, _ = conn.Write([]byte(state))
	_ = conn.Close()
}

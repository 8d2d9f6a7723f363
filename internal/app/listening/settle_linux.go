package listening

import (
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// settleTime bounds how long settle waits.
const settleTime = time.Second

// settle lets l accept every connection that clients believe to have. The kernel makes
// connections before the program accepts them, and closing the listener resets those: so settle
// drops new ones, as a firewall does, until none is left. A client that is connecting then
// tries again and gets "connection refused".
func settle(l net.Listener) {
	for {
		wrapped, ok := l.(interface{ Unwrap() net.Listener })
		if !ok {
			break
		}
		l = wrapped.Unwrap()
	}
	tcp, ok := l.(*net.TCPListener)
	if !ok {
		return
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return
	}
	dropAll := []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K, K: 0}}
	attached := false
	_ = raw.Control(func(fd uintptr) {
		attached = unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER,
			&unix.SockFprog{Len: 1, Filter: &dropAll[0]}) == nil
	})
	if !attached {
		return
	}
	for end := time.Now().Add(settleTime); waiting(raw) && time.Now().Before(end); { //nolint:forbidigo // only a wait
		time.Sleep(time.Millisecond)
	}
}

// waiting reports whether a connection can be accepted.
func waiting(raw syscall.RawConn) (yes bool) {
	_ = raw.Control(func(fd uintptr) {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0) //nolint:gosec // a descriptor fits
		yes = err == unix.EINTR || n > 0
	})
	return yes
}

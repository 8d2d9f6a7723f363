package peercheck

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mcpkeys/mcpkeys/keys"
)

// Socket is the Unix socket of a server.
type Socket struct {
	path   string
	within time.Duration
	users  []int
}

// New returns the socket at path. The server runs as root or as serverUser, a name or a number;
// empty means the user of this process. A connection is made within that time. The error is a
// [*keys.InvalidError].
func New(path, serverUser string, within time.Duration) (*Socket, error) {
	if err := checkPath(path); err != nil {
		return nil, err
	}
	uid := os.Geteuid()
	if serverUser != "" {
		var err error
		if uid, err = userID(serverUser); err != nil {
			return nil, err
		}
	}
	return &Socket{path: path, within: within, users: []int{0, uid}}, nil
}

// Dial connects to the socket, whatever network and address are. The error is a [*RefusedError]
// if another user may be behind it, or a [*net.OpError].
func (s *Socket) Dial(ctx context.Context, _, _ string) (net.Conn, error) {
	if err := s.checkDirectory(); err != nil {
		return nil, err
	}
	conn, err := (&net.Dialer{Timeout: s.within}).DialContext(ctx, "unix", s.path)
	if err != nil {
		return nil, err
	}
	if err := s.checkListener(conn); err != nil {
		_ = conn.Close() // nothing was sent
		return nil, err
	}
	return conn, nil
}

const otherUser = "which is neither root nor the server's user; if keyctl serve runs as that user, name it with --server-user or remote.Options.ServerUser"

func (s *Socket) checkDirectory() error {
	dir := filepath.Dir(s.path)
	info, err := os.Stat(dir)
	if err != nil {
		var path *os.PathError
		if errors.As(err, &path) {
			err = path.Err
		}
		return &net.OpError{Op: "dial", Net: "unix", Addr: &net.UnixAddr{Name: s.path, Net: "unix"}, Err: err}
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !ok || info.Mode().Perm()&0o022 != 0:
		return &RefusedError{fmt.Sprintf("other users may put a socket into %s; use a directory of the server's user that only it may write to", dir)}
	case !slices.Contains(s.users, int(owner.Uid)):
		return &RefusedError{fmt.Sprintf("other users may put a socket into %s: it belongs to the user %d, %s", dir, owner.Uid, otherUser)}
	}
	return nil
}

func (s *Socket) checkListener(conn net.Conn) error {
	c, ok := conn.(*net.UnixConn)
	if !ok {
		return net.ErrClosed
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var cred *unix.Ucred
	var failed error
	if err := raw.Control(func(fd uintptr) {
		cred, failed = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		return err
	}
	if failed != nil {
		return failed
	}
	if !slices.Contains(s.users, int(cred.Uid)) {
		return &RefusedError{fmt.Sprintf("the user %d listens there, %s", cred.Uid, otherUser)}
	}
	return nil
}

// userID returns the number of a user that is given by its name or number.
func userID(text string) (int, error) {
	if uid, err := strconv.Atoi(text); err == nil && uid >= 0 {
		return uid, nil
	}
	u, err := user.Lookup(text)
	if err != nil {
		return 0, &keys.InvalidError{Field: "server_user", Reason: "must be the name or the number of a user of this machine"}
	}
	return strconv.Atoi(u.Uid)
}

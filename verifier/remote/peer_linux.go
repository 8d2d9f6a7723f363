package remote

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/mcpkeys/mcpkeys/keys"
)

// peer is the listener of a unix socket. Any user may put a socket where the server's is
// expected, if the directory lets it, and would be sent secrets. So the directory must not be
// writable by others, and the process that listens must be root's or that of a known user. The
// system tells who called listen; with socket activation that is root.
type peer struct {
	path  string
	users []int
}

func newPeer(path, serverUser string) (*peer, error) {
	uid := os.Geteuid()
	if serverUser != "" {
		var err error
		if uid, err = userID(serverUser); err != nil {
			return nil, err
		}
	}
	return &peer{path: path, users: []int{0, uid}}, nil
}

func (p *peer) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	if err := p.checkDirectory(); err != nil {
		return nil, err
	}
	conn, err := (&net.Dialer{Timeout: dialWithin}).DialContext(ctx, "unix", p.path)
	if err != nil {
		return nil, err
	}
	if err := p.checkListener(conn); err != nil {
		_ = conn.Close() // nothing was sent
		return nil, err
	}
	return conn, nil
}

func (p *peer) checkDirectory() error {
	dir := filepath.Dir(p.path)
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok || info.Mode().Perm()&0o022 != 0 || !slices.Contains(p.users, int(owner.Uid)) {
		return &peerError{fmt.Sprintf("other users may put a socket into %s; use a directory of the server's user that only it may write to", dir)}
	}
	return nil
}

func (p *peer) checkListener(conn net.Conn) error {
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
	if !slices.Contains(p.users, int(cred.Uid)) {
		return &peerError{fmt.Sprintf("the user %d listens there, who is neither root nor the server's user; if keyctl serve runs as that user, name it as the server's user", cred.Uid)}
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

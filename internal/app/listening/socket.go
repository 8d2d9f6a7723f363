package listening

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/mcpkeys/mcpkeys/internal/base/filemode"
	"github.com/mcpkeys/mcpkeys/internal/base/newfile"
	"github.com/mcpkeys/mcpkeys/keys"
)

// socketPrefix begins a listen address that is a Unix socket.
const socketPrefix = "unix:"

// maxSocketPath is the longest path of a socket on every system, in bytes.
const maxSocketPath = 103

// listenAt opens a Unix socket, 0600, or 0660 if the user's groups are allowed. It replaces the
// socket file of a server that ended without removing it, and nothing else.
func listenAt(ctx context.Context, field, path string) (net.Listener, error) {
	if path == "" || len(path) > maxSocketPath {
		return nil, keys.Invalid(field, "must name a socket after unix:, such as unix:/run/mcpkeys/mcpkeys.sock, in at most %d bytes", maxSocketPath)
	}
	unlock, err := newfile.Lock(filepath.Dir(path)) // two servers that start at once would remove each other's
	if err != nil {
		return nil, unsocketed(path, err)
	}
	defer unlock()
	if err := clearSocket(ctx, path); err != nil {
		return nil, err
	}
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error { return private(c) }}
	listener, err := config.Listen(ctx, "unix", path)
	if err != nil {
		return nil, unsocketed(path, err)
	}
	if l, ok := listener.(*net.UnixListener); ok {
		l.SetUnlinkOnClose(false) // the path may lead to another server's socket by then
		info, err := os.Lstat(path)
		if err != nil {
			return nil, errors.Join(unsocketed(path, err), listener.Close())
		}
		listener = &socketFile{l, path, info}
	}
	mode := fs.FileMode(0o600)
	if os.Getenv(filemode.Variable) == "1" {
		mode = 0o660
	}
	if err := os.Chmod(path, mode); err != nil {
		return nil, errors.Join(unsocketed(path, err), listener.Close())
	}
	return listener, nil
}

// exposed says why guards refuse a socket at path: another user could put one there.
func exposed(path string) string {
	info, err := os.Stat(filepath.Dir(path))
	if err != nil || info.Mode().Perm()&0o022 == 0 {
		return ""
	}
	return filepath.Dir(path) + " may be written to by other users; choose a directory that only this user may write to"
}

// socketFile is a listener that removes its file, and no other of that name, when it is closed.
type socketFile struct {
	*net.UnixListener
	path string
	file fs.FileInfo
}

// Close implements [net.Listener].
func (s *socketFile) Close() error {
	if now, err := os.Lstat(s.path); err == nil && os.SameFile(now, s.file) {
		return errors.Join(os.Remove(s.path), s.UnixListener.Close())
	}
	return s.UnixListener.Close()
}

// clearSocket removes a socket file at which no program listens.
func clearSocket(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return unsocketed(path, err)
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("%s exists and is not a socket; remove it, or choose another path with --listen", path)
	}
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", path)
	if err == nil {
		_ = conn.Close() // only a question
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("another server listens at %s; stop it, or choose another path with --listen", path)
	}
	if err := os.Remove(path); err != nil {
		return unsocketed(path, err)
	}
	return nil
}

// unsocketed says why the server cannot listen at the path.
func unsocketed(path string, err error) error {
	switch dir := filepath.Dir(path); {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("directory %s not found; make it first, or choose another path with --listen", dir)
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return fmt.Errorf("this user may not make a socket in directory %s; fix its permissions, or choose another path with --listen", dir)
	}
	return fmt.Errorf("cannot listen at %s; choose another path with --listen: %w", path, err)
}

// OnSocket reports whether only programs of this machine can connect, through a file.
func OnSocket(at net.Addr) bool {
	_, ok := at.(*net.UnixAddr)
	return ok
}

// URL is where clients reach a server.
func URL(at net.Addr, tls bool) string {
	switch {
	case OnSocket(at):
		return socketPrefix + strings.TrimPrefix(at.String(), socketPrefix)
	case tls:
		return "https://" + at.String()
	}
	return "http://" + at.String()
}

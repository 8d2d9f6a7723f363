// Package infile opens files that a user names to be read.
//
// A name may lead to a named pipe that nobody writes to, or to a device that never ends: to
// open the one, or to read the other, would hold the program, and a signal would not end
// it. [Open] takes regular files and pipes, and ends its reading with a context; [Regular]
// takes regular files alone, and [Under] ends the reading of what is open already. Devices,
// folders and sockets are refused before they are opened.
package infile

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// ErrKind is what a file is that is not read. Errors carry it in an [*fs.PathError].
var (
	ErrNotRegular = errors.New("is not a regular file")
	ErrKind       = errors.New("is neither a regular file nor a pipe")
)

// Regular opens a regular file.
func Regular(path string) (*os.File, error) {
	return open(path, ErrNotRegular, func(m fs.FileMode) bool { return m.IsRegular() })
}

// Open opens a regular file or a pipe, as a shell makes it of <(command). A named pipe that
// nobody writes to is empty. Reading ends with ctx.
func Open(ctx context.Context, path string) (io.ReadCloser, error) {
	f, err := open(path, ErrKind, func(m fs.FileMode) bool { return m.IsRegular() || m&fs.ModeNamedPipe != 0 })
	if err != nil {
		return nil, err
	}
	return struct {
		io.Reader
		io.Closer
	}{Under(ctx, f), f}, nil
}

// open looks before it opens, because opening may do something to a device; it opens
// without waiting, because there may be another file by now; and looks again.
func open(path string, kind error, fits func(fs.FileMode) bool) (*os.File, error) {
	refused := &fs.PathError{Op: "open", Path: path, Err: kind}
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case !fits(info.Mode()):
		return nil, refused
	}
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	info, err = f.Stat()
	if err == nil && !fits(info.Mode()) {
		err = refused
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

type reader func(p []byte) (int, error)

func (r reader) Read(p []byte) (int, error) { return r(p) }

// Under is r until ctx ends. A read that was given up on ends with the program, or when r
// has something to give.
func Under(ctx context.Context, r io.Reader) io.Reader {
	type result struct {
		n   int
		err error
	}
	var own []byte // not the caller's: a read that was given up on may still write to it
	return reader(func(p []byte) (int, error) {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		if len(own) < len(p) {
			own = make([]byte, len(p))
		}
		into, done := own[:len(p)], make(chan result, 1)
		go func() {
			n, err := r.Read(into)
			done <- result{n, err}
		}()
		select {
		case got := <-done:
			return copy(p, into[:got.n]), got.err
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	})
}

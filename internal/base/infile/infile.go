// Package infile opens files that a user names.
//
// A name may lead to a named pipe without a writer, or to a device that never ends: opening the
// one or reading the other would block the program, and a signal would not end it. [Open] takes
// regular files and pipes, and its reads end with a context; [Regular] takes regular files
// only, and [Under] ends reads of an open reader. Devices, folders and sockets are refused
// before they are opened.
package infile

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// The errors of files of another kind, inside an [*fs.PathError].
var (
	ErrNotRegular = errors.New("is not a regular file")
	ErrKind       = errors.New("is neither a regular file nor a pipe")
)

// Regular opens a regular file.
func Regular(path string) (*os.File, error) {
	return open(path, ErrNotRegular, func(m fs.FileMode) bool { return m.IsRegular() })
}

// Open opens a regular file or a pipe, such as a shell's <(command). A named pipe without a
// writer is empty. Reads end with ctx.
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

// open checks the file before it opens it, because opening a device may have an effect; it
// opens without blocking, because the file may have been replaced; and checks again.
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

// Under reads from r until ctx ends. A read that was abandoned ends with the program, or when r
// returns.
func Under(ctx context.Context, r io.Reader) io.Reader {
	type result struct {
		n   int
		err error
	}
	var own []byte // not the caller's: an abandoned read may still write to it
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

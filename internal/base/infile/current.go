package infile

import (
	"io"
	"os"
	"sync"
	"time"
)

// Current is what a regular file says now. The file is read again when it changes, so that a
// secret in it can be changed while the program runs. It is safe for concurrent use.
type Current[T any] struct {
	path  string
	limit int64
	parse func(text []byte) (T, error)

	mu    sync.Mutex // guards what follows
	value T
	stamp stamp
}

// NewCurrent reads nothing yet. Parse gets at most limit bytes of the file.
func NewCurrent[T any](path string, limit int64, parse func(text []byte) (T, error)) *Current[T] {
	return &Current[T]{path: path, limit: limit, parse: parse}
}

// Get returns what the file says. If it cannot be read or parsed, the value is the last one, and
// had reports whether there is one.
func (c *Current[T]) Get() (value T, had bool, err error) {
	info, err := os.Stat(c.path)
	c.mu.Lock()
	value, same := c.value, err == nil && c.stamp.holds(info)
	c.mu.Unlock()
	if same {
		return value, true, nil
	}
	return c.Reread()
}

// Reread is Get for a file that is read whatever its time says.
func (c *Current[T]) Reread() (value T, had bool, err error) {
	value, seen, err := c.read()
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil {
		c.value, c.stamp = value, seen
	}
	return c.value, c.stamp.file != nil, err
}

func (c *Current[T]) read() (value T, seen stamp, err error) {
	f, err := Regular(c.path)
	if err != nil {
		return value, seen, err
	}
	defer func() { _ = f.Close() }() // it was only read
	seen.read = time.Now()           //nolint:forbidigo // beside the times of a file, which are of the machine's clock
	if seen.file, err = f.Stat(); err != nil {
		return value, seen, err
	}
	text, err := io.ReadAll(io.LimitReader(f, c.limit))
	if err != nil {
		return value, seen, err
	}
	value, err = c.parse(text)
	return value, seen, err
}

// stamp tells states of a file apart.
type stamp struct {
	file os.FileInfo // nil before the file was read
	read time.Time
}

// settling is longer than the steps in which file systems tell times. A file that changed less
// than that before it was read may have changed again at the same time.
const settling = 2 * time.Second

// holds reports whether a file that is now like info is the one that was read.
func (s stamp) holds(info os.FileInfo) bool {
	return s.file != nil && os.SameFile(s.file, info) && s.file.Size() == info.Size() &&
		s.file.ModTime().Equal(info.ModTime()) && s.read.Sub(info.ModTime()) > settling
}

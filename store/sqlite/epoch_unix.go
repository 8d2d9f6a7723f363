//go:build unix

package sqlite

import (
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

// mapping is the page of one epoch file in this process's memory. It is unmapped
// when nobody refers to it any more, never while a check may be reading it.
type mapping struct {
	page []byte
	file fileID
}

// fileID tells files apart whatever they are called.
type fileID struct {
	device, inode uint64
}

// identify returns the identity of the file that has the name now.
func identify(path string) (fileID, error) {
	info, err := os.Stat(path)
	if err != nil {
		return fileID{}, err
	}
	return identityOf(info)
}

func identityOf(info fs.FileInfo) (fileID, error) {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return fileID{}, errors.ErrUnsupported
	}
	return fileID{uint64(stat.Dev), stat.Ino}, nil //nolint:unconvert,gosec // Dev's type differs by system
}

// share maps the file. A mapping keeps the file, so the descriptor is not needed
// afterwards.
func share(path string, writable bool) (*mapping, error) {
	flag, protection := os.O_RDONLY, syscall.PROT_READ
	if writable {
		flag, protection = os.O_RDWR, syscall.PROT_READ|syscall.PROT_WRITE
	}
	f, err := os.OpenFile(path, flag, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // nothing was written through it
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	file, err := identityOf(info)
	if err != nil {
		return nil, err
	}
	if info.Size() < epochSize { // to touch a page beyond the end kills the process
		return nil, errors.New("it is cut short")
	}
	page, err := syscall.Mmap(int(f.Fd()), 0, epochSize, protection, syscall.MAP_SHARED)
	if err != nil {
		return nil, err
	}
	m := &mapping{page: page, file: file}
	runtime.AddCleanup(m, func(page []byte) { _ = syscall.Munmap(page) }, page)
	if string(page[epochMagic:epochMagic+len(epochMark)]) != epochMark {
		return nil, errors.New("it is another kind of file")
	}
	return m, nil
}

func (m *mapping) counter() *atomic.Uint64 {
	return (*atomic.Uint64)(unsafe.Pointer(&m.page[0])) // a page is aligned for any word
}

func (m *mapping) load() uint64 {
	n := m.counter().Load()
	runtime.KeepAlive(m)
	return n &^ noCounter
}

func (m *mapping) add() {
	m.counter().Add(1)
	runtime.KeepAlive(m)
}

func (m *mapping) born() time.Time {
	t := time.Unix(0, int64(binary.NativeEndian.Uint64(m.page[epochBorn:]))) //nolint:gosec // the bits
	runtime.KeepAlive(m)
	return t
}

//go:build unix

package sqlite

import (
	"errors"
	"io/fs"
	"os"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"syscall"
	"unsafe"
)

const canShare = true

// page is the page of one epoch file in this process's memory. It is unmapped when
// nobody refers to it any more, never while a check may be reading it.
type page struct {
	memory []byte
	file   fileID
}

// fileID tells files apart whatever they are called.
type fileID struct {
	device, inode uint64
}

func identityOf(info fs.FileInfo) (fileID, error) {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return fileID{}, errors.ErrUnsupported
	}
	return fileID{uint64(stat.Dev), stat.Ino}, nil //nolint:unconvert // Dev's type differs by system
}

// share maps the file. A mapping keeps the file, so the descriptor is not needed
// afterwards.
func share(path string, writable bool) (*page, error) {
	flag, protection := os.O_RDONLY, syscall.PROT_READ
	if writable {
		flag, protection = os.O_RDWR, syscall.PROT_READ|syscall.PROT_WRITE
	}
	f, err := os.OpenFile(path, flag|syscall.O_NONBLOCK, 0) // or a named pipe would keep us waiting
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // nothing was written through it
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	file, err := identityOf(info)
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, errors.New("it is not a regular file")
	case info.Size() < epochSize:
		return nil, errCutShort
	}
	memory, err := syscall.Mmap(int(f.Fd()), 0, epochSize, protection, syscall.MAP_SHARED)
	if err != nil {
		return nil, err
	}
	p := &page{memory: memory, file: file}
	runtime.AddCleanup(p, func(memory []byte) { _ = syscall.Munmap(memory) }, memory)
	if !p.marked() {
		return nil, errors.New("it is another kind of file")
	}
	if writable {
		p.disown()
	}
	return p, nil
}

// marked reports whether the mark is where it should be.
func (p *page) marked() (ok bool) {
	p.touch(func() { ok = string(p.memory[markAt:markAt+len(epochMark)]) == epochMark })
	return ok
}

// disown makes a copy of an epoch file a file of its own, with the rule for new ones:
// first it is not settled, then it is no copy any more, so that whoever dies between
// the two leaves it a copy.
func (p *page) disown() {
	p.touch(func() {
		if p.word(wordInode).Load() != p.file.inode {
			p.word(wordSettled).Store(0)
			p.word(wordInode).Store(p.file.inode)
		}
	})
}

// load is touch without the call of a function, because every check comes by here.
func (p *page) load() (n uint64, ok bool) {
	was := debug.SetPanicOnFault(true)
	defer func() {
		if !ok {
			_ = recover() // the fault
		}
		debug.SetPanicOnFault(was)
	}()
	n = p.word(wordCounter).Load()
	runtime.KeepAlive(p)
	return n, true
}

func (p *page) add() bool { return p.touch(func() { p.word(wordCounter).Add(1) }) }

func (p *page) settled() (yes bool) {
	p.touch(func() { yes = p.word(wordSettled).Load() != 0 })
	return yes
}

func (p *page) settle() { p.touch(func() { p.word(wordSettled).Store(1) }) }

func (p *page) word(at int) *atomic.Uint64 {
	return (*atomic.Uint64)(unsafe.Pointer(&p.memory[at])) // a page is aligned for any word
}

// touch reports whether do came through. A page of a file that was cut short under
// it is a fault, which would end the process: a careless copy over the directory
// must not take every guarded server down.
func (p *page) touch(do func()) (ok bool) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() { _ = recover() }() // the fault, and nothing else happens in do
	do()
	runtime.KeepAlive(p)
	return true
}

//go:build unix

package sqlite

import (
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

const canShare = true

// page is the page of one epoch file in this process's memory. It is unmapped when it is
// no longer referenced, never while a check may be reading it.
type page struct {
	memory   []byte
	file     fileID
	born     uint64
	renumber bool // the file may get another inode number without being copied
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

// seeBy is see by a stat that knows no mount points.
func seeBy(info fs.FileInfo, err error) (sight, error) {
	if err != nil {
		return sight{}, err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return sight{}, errors.ErrUnsupported
	}
	return sight{
		id:      fileID{uint64(stat.Dev), stat.Ino}, //nolint:unconvert // Dev's type differs by system
		links:   uint64(stat.Nlink),                 //nolint:unconvert // so does Nlink's
		regular: info.Mode().IsRegular(),
	}, nil
}

// share maps the file. A mapping keeps the file, so the descriptor is not needed
// afterwards.
//
// Readers open the file for writing too. On an overlay file system that copies it up from
// a lower layer; a process that maps the lower file would never see a change.
func share(path string, writable bool) (*page, error) {
	protection := syscall.PROT_READ
	if writable {
		protection |= syscall.PROT_WRITE
	}
	const flag = syscall.O_NONBLOCK | syscall.O_NOFOLLOW // or a named pipe would keep us waiting
	f, err := os.OpenFile(path, os.O_RDWR|flag, 0)
	if err != nil && !writable && !layered(path) && (errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS)) {
		f, err = os.OpenFile(path, os.O_RDONLY|flag, 0)
	}
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
	p := &page{memory: memory, file: file, born: bornAt(f), renumber: renumbers(path)}
	runtime.AddCleanup(p, func(memory []byte) { _ = syscall.Munmap(memory) }, memory)
	if !p.marked() {
		return nil, errors.New("it is another kind of file")
	}
	if writable && p.renumber {
		p.own()
	}
	return p, nil
}

// marked reports whether the mark is where it should be.
func (p *page) marked() (ok bool) {
	p.touch(func() { ok = string(p.memory[markAt:markAt+len(epochMark)]) == epochMark })
	return ok
}

// copied reports whether the file is a copy of the one that the page was written as.
func (p *page) copied() (yes bool) {
	if p.renumber {
		return false
	}
	p.touch(func() { yes = !p.original() })
	return yes
}

// own makes a copy of an epoch file an original. Like a new file it is first marked as not
// settled, and then as an original, so that it is still a copy if the process stops in
// between. Slots in a copy are of servers that have the original open. A file that got another
// inode number without being copied keeps its slots.
func (p *page) own() bool {
	return p.touch(func() {
		if !p.original() {
			p.word(wordSettled).Store(0)
			for at := slotsAt; at < slotsAt+slotCount*slotSize && !p.renumber; at += 8 {
				p.word(at).Store(0)
			}
			p.word(wordInode).Store(p.file.inode)
			p.word(wordBorn).Store(p.born)
		}
	})
}

// original reports whether the page was written as this file. It is called under touch.
func (p *page) original() bool {
	return p.word(wordInode).Load() == p.file.inode && p.word(wordBorn).Load() == p.born
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

// add must not be used for revocations: it may return to a number from before an older state
// of the file was copied over it.
func (p *page) add() bool { return p.move(0) }

// move makes the counter at least n, and more than it was, and wakes all that wait for that.
func (p *page) move(n uint64) bool {
	defer p.wake()
	return p.touch(func() {
		for counter := p.word(wordCounter); ; {
			was := counter.Load()
			if counter.CompareAndSwap(was, max(was+1, n)) {
				return
			}
		}
	})
}

func (p *page) settled() (yes bool) {
	p.touch(func() { yes = p.word(wordSettled).Load() != 0 })
	return yes
}

func (p *page) setSettled() { p.touch(func() { p.word(wordSettled).Store(1) }) }

// standing returns what the page says of its database.
func (p *page) standing() (s standing, ok bool) {
	ok = p.touch(func() {
		binary.NativeEndian.PutUint64(s.id[:8], p.word(wordID).Load())
		binary.NativeEndian.PutUint64(s.id[8:], p.word(wordID+8).Load())
		s.word = p.word(wordPosition).Load()
	})
	return s, ok
}

// raise makes the position word at least w.
func (p *page) raise(w uint64) bool {
	return p.touch(func() {
		for word := p.word(wordPosition); ; {
			was := word.Load()
			if was >= w || word.CompareAndSwap(was, w) {
				return
			}
		}
	})
}

// setWord makes the position word w, also where it was more.
func (p *page) setWord(w uint64) bool { return p.touch(func() { p.word(wordPosition).Store(w) }) }

// setID begins with the half that is compared with zero, when the id goes, and ends with
// it when the id comes.
func (p *page) setID(id epochID) bool {
	first, second := binary.NativeEndian.Uint64(id[:8]), binary.NativeEndian.Uint64(id[8:])
	return p.touch(func() {
		p.word(wordID).Store(0)
		p.word(wordID + 8).Store(second)
		p.word(wordID).Store(first)
	})
}

// flush waits until the page is on the disk.
func (p *page) flush() error {
	defer runtime.KeepAlive(p)
	return unix.Msync(p.memory, unix.MS_SYNC)
}

// within is touch for code that runs on every system.
func (p *page) within(do func(word func(at int) *atomic.Uint64)) bool {
	return p.touch(func() { do(p.word) })
}

func (p *page) word(at int) *atomic.Uint64 {
	return (*atomic.Uint64)(unsafe.Pointer(&p.memory[at])) // a page is aligned for any word
}

// touch reports whether do succeeded. Reading a page of a file that was cut short is a
// fault, which would end the process: a careless copy over the directory must not stop
// every guarded server.
func (p *page) touch(do func()) (ok bool) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() { _ = recover() }() // the fault, and nothing else happens in do
	do()
	runtime.KeepAlive(p)
	return true
}

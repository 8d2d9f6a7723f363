package sqlite

import (
	"encoding/binary"
	"errors"
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Operations of futex(2), without FUTEX_PRIVATE_FLAG: the other side is another process, which
// has mapped the same file.
const (
	futexWait = 0
	futexWake = 1
)

// sleep returns when a writer has moved the counter, or after that time; at once if the low half
// of the counter differs from the given one. It reports false if the system cannot do that.
func (p *page) sleep(low uint32, atMost time.Duration) bool {
	limit := unix.NsecToTimespec(int64(atMost))
	_, _, err := unix.Syscall6(unix.SYS_FUTEX, p.lowHalf(), futexWait, uintptr(low), uintptr(unsafe.Pointer(&limit)), 0, 0)
	runtime.KeepAlive(p)
	return err == 0 || errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) || errors.Is(err, unix.ETIMEDOUT)
}

// wake ends the sleep of all processes. An error is of no interest: a verifier that waits looks every
// 250 ms anyway.
func (p *page) wake() {
	if p == nil {
		return
	}
	const all = 1<<31 - 1
	_, _, _ = unix.Syscall6(unix.SYS_FUTEX, p.lowHalf(), futexWake, all, 0, 0, 0)
	runtime.KeepAlive(p)
}

// lowHalf is the address of the low half of the counter, the only size that the system compares.
func (p *page) lowHalf() uintptr {
	at := wordCounter
	if binary.NativeEndian.Uint16([]byte{0, 1}) == 1 { // the high half comes first
		at += 4
	}
	return uintptr(unsafe.Pointer(&p.memory[at]))
}

package sqlite

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Holder is the process that has a lock, for people to read. It may be another one by
// the time they do, and the name is what that process calls itself: nothing may be
// decided by it.
type Holder struct {
	PID     int    // 0: not known
	Command string // empty: not known
}

func (h Holder) String() string {
	switch {
	case h.PID == 0:
		return "another process"
	case h.Command == "":
		return fmt.Sprintf("process %d", h.PID)
	}
	return fmt.Sprintf("process %d (%s)", h.PID, h.Command)
}

// holder asks the system for the holder of l's lock, or else of SQLite's.
func (l *fairLock) holder() Holder {
	if h := holderOf(l.path, "FLOCK", ""); h.PID != 0 {
		return h
	}
	return writerOf(l.database())
}

func (l *fairLock) database() string { return strings.TrimSuffix(l.path, lockPath("")) }

// writerOf asks the system for the holder of SQLite's write lock, which is on one byte of
// the -shm file.
func writerOf(database string) Holder { return holderOf(database+"-shm", "POSIX", "120") }

// holderOf finds the lock of a file in /proc/locks: its kind, and the byte that it begins
// at if that matters. Lines are like
//
//	1: POSIX  ADVISORY  WRITE 14843 fe:00:9980225 120 120
//	1: -> FLOCK  ADVISORY  WRITE 14844 fe:00:9980224 0 EOF
//
// of which the second only waits. Where there is no such file nothing is known.
func holderOf(path, kind, first string) Holder {
	id, err := identify(path)
	if err != nil || id.inode == 0 {
		return Holder{}
	}
	locks, err := os.ReadFile("/proc/locks")
	if err != nil {
		return Holder{}
	}
	pid := holderIn(locks, id, kind, first)
	if pid == 0 {
		return Holder{}
	}
	return Holder{pid, commandOf(pid)}
}

// holderIn finds the process; 0 if there is none, or the file system numbers its devices
// in another way for locks than for files.
func holderIn(locks []byte, id fileID, kind, first string) (pid int) {
	file := id.inLocks()
	for lines := bufio.NewScanner(bytes.NewReader(locks)); lines.Scan(); {
		field := strings.Fields(lines.Text())
		if len(field) < 8 || field[1] != kind || field[3] != "WRITE" || first != "" && field[6] != first {
			continue
		}
		if field[5] != file {
			continue
		}
		if pid, err := strconv.Atoi(field[4]); err == nil && pid > 0 {
			return pid
		}
	}
	return 0
}

// commandOf is what the process calls itself, in plain letters.
func commandOf(pid int) string {
	text, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/comm") //nolint:gosec // a number, not a path
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return -1
		}
		return r
	}, string(text))
}

// inLocks is the file as /proc/locks has it. A number of inode alone is not enough: each
// file system has its own.
func (id fileID) inLocks() string {
	major, minor := id.numbers()
	return fmt.Sprintf("%02x:%02x:%d", major, minor, id.inode)
}

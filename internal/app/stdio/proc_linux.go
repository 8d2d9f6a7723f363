package stdio

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// A stat is a line of /proc/PID/stat.
type stat struct {
	parent, group, session int
	zombie                 bool
	began                  uint64
}

// scan reads the processes that this one can see.
func scan() map[int]stat {
	names, _ := filepath.Glob("/proc/[0-9]*")
	out := make(map[int]stat, len(names))
	for _, n := range names {
		pid, err := strconv.Atoi(filepath.Base(n))
		if err != nil {
			continue
		}
		if s, ok := statOf(pid); ok {
			out[pid] = s
		}
	}
	return out
}

func statOf(pid int) (s stat, ok bool) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return s, false
	}
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(fields) < 20 {
		return s, false
	}
	s.zombie = fields[0] == "Z" || fields[0] == "X"
	s.parent, _ = strconv.Atoi(fields[1])
	s.group, _ = strconv.Atoi(fields[2])
	s.session, _ = strconv.Atoi(fields[3])
	s.began, err = strconv.ParseUint(fields[19], 10, 64)
	return s, err == nil
}

// below returns the descendants of a process.
func below(all map[int]stat, root int) map[int]bool {
	children := map[int][]int{}
	for pid, s := range all {
		children[s.parent] = append(children[s.parent], pid)
	}
	out := map[int]bool{}
	for next := slices.Clone(children[root]); len(next) > 0; {
		pid := next[0]
		next = next[1:]
		if !out[pid] {
			out[pid] = true
			next = append(next, children[pid]...)
		}
	}
	return out
}

// killOne kills a process, unless its number belongs to another one by now.
func killOne(pid int, s stat) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		if now, ok := statOf(pid); ok && now.began == s.began {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		return
	}
	defer func() { _ = unix.Close(fd) }()
	if now, ok := statOf(pid); ok && now.began == s.began {
		_ = unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0)
	}
}

package stdio

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// relatives are the processes below this one. There is one such list, because a process has one
// set of children.
type relatives struct {
	mu       sync.Mutex
	users    int              // Backends that are open
	ours     map[int]*process // by number, until reaped
	starts   chan func()
	children chan os.Signal
}

var family = &relatives{ours: map[int]*process{}}

// open makes this process the parent of what its descendants leave behind, and closes its
// memory and environment to other processes of the same user.
func (r *relatives) open() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("close the memory of this process to others: %w", err)
	}
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("become the parent of orphaned processes: %w", err)
	}
	r.users++
	if r.users > 1 {
		return nil
	}
	r.starts, r.children = make(chan func()), make(chan os.Signal, 1)
	go starter(r.starts)
	signal.Notify(r.children, syscall.SIGCHLD)
	go r.reap(r.children)
	return nil
}

func (r *relatives) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.users--
	if r.users == 0 {
		close(r.starts)
		signal.Stop(r.children)
		close(r.children)
		r.reapAll()
	}
}

// starter runs on a thread of its own that does not end before the Backends do: the kernel
// kills a process with Pdeathsig when the thread that started it ends. The thread ends with the
// goroutine, because it may have given up privileges for the processes that it starts.
func starter(starts <-chan func()) {
	runtime.LockOSThread()
	for f := range starts {
		f()
	}
}

// noNewPrivileges keeps what this thread starts from becoming another user again, by a program
// with setuid or with capabilities. Only root starts processes as another user, and then all of
// them, so none loses what it should have.
func noNewPrivileges() error {
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("keep the MCP server from gaining privileges: %w", err)
	}
	return nil
}

func (r *relatives) start(p *process) error {
	done := make(chan error, 1)
	r.starts <- func() {
		r.mu.Lock() // so that reap does not see a child that is not listed yet
		defer r.mu.Unlock()
		closeOnExec()
		err := error(nil)
		if p.cmd.SysProcAttr.Credential != nil {
			err = noNewPrivileges()
		}
		if err == nil {
			err = p.cmd.Start()
		}
		if err == nil {
			p.pid = p.cmd.Process.Pid
			r.ours[p.pid] = p
		}
		done <- err
	}
	return <-done
}

// wait returns when p and what it left behind have ended.
func (r *relatives) wait(p *process) error {
	waitable(p.pid)
	r.sweep(p)
	p.mu.Lock()
	err := p.cmd.Wait()
	p.reaped = true
	p.mu.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.ours, p.pid)
	return err
}

// closeOnExec marks the descriptors that this process inherited, which no MCP server gets.
func closeOnExec() {
	if unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC) == nil {
		return
	}
	names, _ := os.ReadDir("/proc/self/fd") // before Linux 5.11
	for _, n := range names {
		if fd, err := strconv.Atoi(n.Name()); err == nil && fd > 2 {
			_, _ = unix.FcntlInt(uintptr(fd), unix.F_SETFD, unix.FD_CLOEXEC)
		}
	}
}

// attributes makes a session of its own: a group, and no terminal to type into.
func attributes(a *account) *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
	if a.switches {
		attr.Credential = &syscall.Credential{Uid: a.uid, Gid: a.gid, Groups: a.groups}
	}
	return attr
}

// waitable returns when the process has ended, without reaping it: until then its number, and
// that of its group, are not given to others.
func waitable(pid int) {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

func signalGroup(pid int, kill bool) {
	sig := syscall.SIGTERM
	if kill {
		sig = syscall.SIGKILL
	}
	_ = syscall.Kill(-pid, sig)
}

// reap ends the zombies that orphans become, and touches no process that has its own waiter.
func (r *relatives) reap(children <-chan os.Signal) {
	for range children {
		r.mu.Lock()
		r.reapAll()
		r.mu.Unlock()
	}
}

func (r *relatives) reapAll() {
	for pid, s := range scan() {
		if s.zombie && r.orphan(pid, s) {
			_, _ = syscall.Wait4(pid, nil, syscall.WNOHANG, nil)
		}
	}
}

// orphan reports whether a process became our child because its parent ended. No process gets
// back into our session after an MCP server has left it, so a child in it is not an orphan.
func (r *relatives) orphan(pid int, s stat) bool {
	own, err := unix.Getsid(0)
	return err == nil && s.parent == os.Getpid() && s.session != own && r.ours[pid] == nil
}

// note remembers the descendants of p. Once p has ended they cannot be told from others.
func (r *relatives) note(p *process) {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := scan()
	if p.noted == nil {
		p.noted = map[int]uint64{}
	}
	for pid := range below(all, p.pid) {
		p.noted[pid] = all[pid].began
	}
}

const (
	sweepRounds = 50
	sweepPause  = 2 * time.Millisecond
)

// sweep kills what p, which has ended, left behind, until nothing is found. Processes that
// start others as fast as they are killed are given up after some rounds.
func (r *relatives) sweep(p *process) {
	for range sweepRounds {
		r.mu.Lock()
		found := r.left(p)
		for pid, s := range found {
			killOne(pid, s)
		}
		r.mu.Unlock()
		if len(found) == 0 {
			return
		}
		time.Sleep(sweepPause)
	}
}

// left returns what p left behind: its group and session, its descendants, and orphans that
// belong to no other MCP server.
func (r *relatives) left(p *process) map[int]stat {
	all := scan()
	take := below(all, p.pid)
	for pid, s := range all {
		began, noted := p.noted[pid]
		switch {
		case s.group == p.pid || s.session == p.pid, noted && began == s.began,
			r.orphan(pid, s) && !s.zombie && !r.spared(pid, p):
			take[pid] = true
			maps.Copy(take, below(all, pid))
		}
	}
	out := map[int]stat{}
	for pid := range take {
		if s := all[pid]; pid != p.pid && r.ours[pid] == nil && !s.zombie {
			out[pid] = s
		}
	}
	return out
}

// spared reports whether an orphan says that it belongs to a key that has another process.
func (r *relatives) spared(pid int, p *process) bool {
	env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil {
		return false
	}
	for _, o := range r.ours {
		if o != p && bytes.Contains(append([]byte{0}, env...), []byte("\x00MCPKEYS_KEY_ID="+o.keyID+"\x00")) {
			return true
		}
	}
	return false
}

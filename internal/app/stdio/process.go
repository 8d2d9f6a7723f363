package stdio

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A process is a started MCP server. Its own descendants belong to it.
type process struct {
	pid    int
	keyID  string
	in     *os.File // its standard input
	out    *os.File
	errout *os.File
	exited chan struct{} // closed when it and its descendants have ended
	status string        // how it ended, once exited is closed

	cmd    *exec.Cmd
	mu     sync.Mutex
	reaped bool           // its number may be that of another process now
	noted  map[int]uint64 // its descendants when it was stopped, with their start; guarded by family
}

// An account is the user that runs the MCP servers.
type account struct {
	name, home string
	switches   bool // it is not the user of this process
	uid, gid   uint32
	groups     []uint32
}

// accountOf returns the account that o asks for, and refuses one with too many rights.
func accountOf(o Options) (*account, error) {
	root := os.Geteuid() == 0
	switch {
	case o.User != "" && o.SameUser:
		return nil, errors.New("--user and --same-user exclude each other")
	case o.User == "" && root:
		return nil, errors.New("keyctl runs as root, so the MCP server needs a user of its own: --user NAME")
	case o.User == "":
		u, err := user.Current()
		if err != nil {
			return nil, fmt.Errorf("find out the user of this process: %w", err)
		}
		return &account{name: u.Username, home: u.HomeDir}, nil
	case !root:
		return nil, errors.New("--user needs root: start keyctl as root, or use --same-user")
	}
	return otherAccount(o.User)
}

func otherAccount(name string) (*account, error) {
	u, err := user.Lookup(name)
	if err != nil {
		if u, err = user.LookupId(name); err != nil {
			return nil, fmt.Errorf("user %s not found", strconv.Quote(name))
		}
	}
	a := &account{name: u.Username, home: u.HomeDir, switches: true}
	if a.uid, err = number(u.Uid); err != nil {
		return nil, err
	}
	if a.uid == 0 {
		return nil, errors.New("--user must not be root: the MCP server could read everything")
	}
	if a.gid, err = number(u.Gid); err != nil {
		return nil, err
	}
	groups, err := u.GroupIds()
	if err != nil {
		return nil, fmt.Errorf("groups of user %s: %w", u.Username, err)
	}
	for _, g := range groups {
		n, err := number(g)
		if err != nil {
			return nil, err
		}
		a.groups = append(a.groups, n)
	}
	return a, nil
}

func number(text string) (uint32, error) {
	n, err := strconv.ParseUint(text, 10, 32)
	return uint32(n), err
}

// otherPath is where a program with a user of its own looks for others. The PATH of root may have
// directories that are none of its business.
const otherPath = "/usr/local/bin:/usr/bin:/bin"

// path returns where a process looks for programs.
func (a *account) path(passed []string) string {
	for _, variable := range slices.Backward(passed) {
		if path, ok := strings.CutPrefix(variable, "PATH="); ok {
			return path
		}
	}
	if path := os.Getenv("PATH"); path != "" && !a.switches {
		return path
	}
	return otherPath
}

// environment returns all variables of a process: nothing else is passed.
func (a *account) environment(passed []string, keyID, owner, name string) []string {
	out := []string{"PATH=" + a.path(passed), "HOME=" + a.home}
	if lang := os.Getenv("LANG"); lang != "" {
		out = append(out, "LANG="+lang)
	}
	out = append(out, passed...)
	return append(out, "MCPKEYS_KEY_ID="+keyID, "MCPKEYS_OWNER="+owner, "MCPKEYS_NAME="+name)
}

// startProcess starts the command in a group of its own, with three descriptors.
func startProcess(o Options, a *account, keyID string, env []string) (*process, error) {
	p := &process{keyID: keyID, exited: make(chan struct{})}
	var theirs [3]*os.File
	var err error
	closeAll := func(files ...*os.File) {
		for _, f := range files {
			if f != nil {
				_ = f.Close()
			}
		}
	}
	defer func() { closeAll(theirs[:]...) }()
	if theirs[0], p.in, err = os.Pipe(); err == nil {
		if p.out, theirs[1], err = os.Pipe(); err == nil {
			p.errout, theirs[2], err = os.Pipe()
		}
	}
	if err != nil {
		closeAll(p.in, p.out, p.errout)
		return nil, err
	}
	p.cmd = &exec.Cmd{
		Path: o.Command[0], Args: o.Command, Dir: o.Dir, Env: env,
		Stdin: theirs[0], Stdout: theirs[1], Stderr: theirs[2], SysProcAttr: attributes(a),
	}
	if err := family.start(p); err != nil {
		closeAll(p.in, p.out, p.errout)
		return nil, err
	}
	go p.wait()
	return p, nil
}

// wait ends the descendants once the process itself has ended.
func (p *process) wait() {
	err := family.wait(p)
	if p.cmd.ProcessState != nil {
		p.status = p.cmd.ProcessState.String()
	} else {
		p.status = fmt.Sprint(err)
	}
	// A descendant that is spared may hold the pipes.
	for _, f := range []*os.File{p.out, p.errout} {
		_ = f.SetReadDeadline(clock().Add(time.Second))
	}
	close(p.exited)
}

// stop asks the process to end, and ends its group if it does not. The end of the input is
// first, since a good server ends by that.
func (p *process) stop(grace time.Duration, closeInput func()) {
	family.note(p)
	closeInput()
	if p.exitsWithin(grace / 5) {
		return
	}
	family.note(p)
	p.signal(false)
	if !p.exitsWithin(grace - grace/5) {
		p.kill()
	}
}

// kill ends the process and all descendants that are known.
func (p *process) kill() {
	family.note(p)
	p.signal(true)
}

// signal sends SIGTERM or SIGKILL to the group.
func (p *process) signal(kill bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.reaped {
		signalGroup(p.pid, kill)
	}
}

func (p *process) exitsWithin(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-p.exited:
		return true
	case <-t.C:
		return false
	}
}

//go:build unix && !linux

package stdio

import "syscall"

// relatives is empty here: only the process group of an MCP server is ended.
type relatives struct{}

var family relatives

func (relatives) open() error   { return nil }
func (relatives) close()        {}
func (relatives) note(*process) {}

func (relatives) wait(p *process) error {
	err := p.cmd.Wait()
	p.signal(true)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reaped = true
	return err
}

func (relatives) start(p *process) error {
	err := p.cmd.Start()
	if err == nil {
		p.pid = p.cmd.Process.Pid
	}
	return err
}

func attributes(a *account) *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setsid: true}
	if a.switches {
		attr.Credential = &syscall.Credential{Uid: a.uid, Gid: a.gid, Groups: a.groups}
	}
	return attr
}

func signalGroup(pid int, kill bool) {
	sig := syscall.SIGTERM
	if kill {
		sig = syscall.SIGKILL
	}
	_ = syscall.Kill(-pid, sig)
}

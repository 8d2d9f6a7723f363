package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// terminalLog is the file with what the terminal of onterminal showed.
const terminalLog = "terminal.txt"

// onTerminal runs a program of a script with a new controlling terminal, and types the
// content of FILE on it:
//
//	exec onterminal [-stdin] [-after TEXT] FILE program [args...]
//
// With -stdin the program's standard input is that terminal too. With -after it types when
// the terminal shows TEXT. It types FILE as it is, so FILE needs its own ends of lines and
// of input (Ctrl-D). Afterwards terminal.txt has what the terminal showed.
//
// It replaces testscript's ttyin, which closes the terminal as soon as the program ends, and
// then often loses output on a busy machine.
func onTerminal() {
	code, err := runOnTerminal(os.Args[1:])
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "onterminal: "+err.Error())
		code = 125
	}
	os.Exit(code)
}

func runOnTerminal(args []string) (code int, err error) {
	onStdin, after := false, ""
	for len(args) > 0 && strings.HasPrefix(args[0], "-") {
		switch {
		case args[0] == "-stdin":
			onStdin, args = true, args[1:]
		case args[0] == "-after" && len(args) > 1:
			after, args = args[1], args[2:]
		default:
			return 0, errors.New("takes [-stdin] [-after TEXT] FILE program [args...]")
		}
	}
	if len(args) < 2 {
		return 0, errors.New("takes [-stdin] [-after TEXT] FILE program [args...]")
	}
	typed, err := os.ReadFile(args[0])
	if err != nil {
		return 0, err
	}
	user, tty, err := openTerminal()
	if err != nil {
		return 0, err
	}
	child := exec.Command(args[1], args[2:]...)
	child.Stdin, child.Stdout, child.Stderr = os.Stdin, os.Stdout, os.Stderr
	if onStdin {
		child.Stdin = tty
	}
	child.ExtraFiles = []*os.File{tty}
	child.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 3}
	screen := &screen{until: after, typed: typed, user: user, done: make(chan struct{})}
	go screen.read()
	err = child.Run()
	_ = tty.Close() // the last open file: the reader gets the remaining output, and then the end
	<-screen.done
	_ = user.Close()
	if err := os.WriteFile(terminalLog, screen.shown.Bytes(), 0o600); err != nil {
		return 0, err
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode(), nil
	}
	return 0, err
}

// screen reads what a terminal shows, and types when it shows until.
type screen struct {
	user  io.ReadWriter
	until string
	typed []byte
	shown bytes.Buffer
	done  chan struct{}
}

func (s *screen) read() {
	defer close(s.done)
	buf := make([]byte, 4096)
	for {
		if s.typed != nil && bytes.Contains(s.shown.Bytes(), []byte(s.until)) {
			_, _ = s.user.Write(s.typed) // a terminal buffers some 4 KB
			s.typed = nil
		}
		n, err := s.user.Read(buf)
		s.shown.Write(buf[:n])
		if err != nil {
			return // EIO: no process has the terminal open any more
		}
	}
}

func openTerminal() (user, tty *os.File, err error) {
	if user, err = os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		return nil, nil, err
	}
	n, err := unix.IoctlGetInt(int(user.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(user.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		_ = user.Close()
	}
	return user, tty, err
}

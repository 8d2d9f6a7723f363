//go:build linux

package stdio_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// descriptors lists the open files, without what the Go runtime opens itself.
func descriptors() string {
	names, _ := os.ReadDir("/proc/self/fd")
	var out []string
	for _, n := range names {
		to, err := os.Readlink("/proc/self/fd/" + n.Name())
		if err == nil && !strings.Contains(to, "eventpoll") && !strings.Contains(to, "eventfd") && !strings.HasPrefix(to, "/sys/fs/cgroup/") && !strings.HasSuffix(to, "/fd") {
			out = append(out, n.Name()+" "+to)
		}
	}
	return strings.Join(out, "\n")
}

// openParent tries what a process could read of the one that started it.
func openParent() string {
	var out []string
	for _, name := range []string{"mem", "environ", "maps", "fd", "root"} {
		path := fmt.Sprintf("/proc/%d/%s", os.Getppid(), name)
		f, err := os.Open(path)
		if err == nil {
			if name == "fd" {
				_, err = f.ReadDir(-1)
			} else {
				_, err = f.Read(make([]byte, 1))
			}
			_ = f.Close()
			if err == nil || errors.Is(err, syscall.EIO) {
				out = append(out, name)
			}
		}
	}
	return "read: " + strings.Join(out, " ")
}

// spawn starts a process that outlives its parent: in the group, in a session of its own, or
// without a parent and without our variables.
func spawn(how string) string {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), roleVar+"=sleep")
	switch how {
	case "session":
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	case "daemon":
		cmd = exec.Command("/bin/sh", "-c", `setsid env -i STDIO_TEST_ROLE=sleep "$0" >/dev/null 2>&1 </dev/null & echo $!`, os.Args[0])
		out, err := cmd.Output()
		if err != nil {
			return err.Error()
		}
		return strings.TrimSpace(string(out))
	}
	if err := cmd.Start(); err != nil {
		return err.Error()
	}
	return strconv.Itoa(cmd.Process.Pid)
}

//go:build linux

package stdio_test

import (
	"bufio"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// killedGuard starts a guard with a session in a process of its own, kills it and returns the
// number of its MCP server.
func killedGuard(t *testing.T) string {
	t.Helper()
	cmd := exec.Command(binary, "-test.run=^TestWaitForKill$", "-test.v")
	cmd.Env = append(os.Environ(), "STDIO_TEST_WAIT=1")
	cmd.Dir = "/"
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Wait() }()
	defer func() { _ = cmd.Process.Kill() }()
	for scan := bufio.NewScanner(out); scan.Scan(); {
		if _, pid, ok := strings.Cut(scan.Text(), "server is "); ok {
			return pid
		}
	}
	t.Fatal("the guard did not start")
	return ""
}

// TestWaitForKill is the guard that TestServerEndsWithTheGuard kills.
func TestWaitForKill(t *testing.T) {
	if os.Getenv("STDIO_TEST_WAIT") == "" {
		return
	}
	pid := newRig(t, "server").initialized().call("pid", "")
	n, err := strconv.Atoi(pid)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(n, syscall.SIGSTOP); err != nil { // it does not see the end of its input
		t.Fatal(err)
	}
	_, _ = os.Stdout.WriteString("server is " + pid + "\n")
	select {}
}

package demo_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/mcpkeys/mcpkeys/internal/app/demo"
)

// The environment of the processes that these tests start.
const (
	envReal  = "DEMO_TEST_KEYCTL" // path of the real keyctl
	envBreak = "DEMO_TEST_BREAK"  // the break of sabotage_test.go to use
)

// TestMain builds the real keyctl. If a break is set, this binary acts as a keyctl that fails in
// that way.
func TestMain(m *testing.M) {
	if name := os.Getenv(envBreak); name != "" {
		os.Exit(sabotage(name, os.Args[1:]))
	}
	os.Exit(withKeyctl(m.Run))
}

func withKeyctl(run func() int) int {
	dir, err := os.MkdirTemp("", "demo-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	path := filepath.Join(dir, "keyctl")
	if out, err := exec.Command("go", "build", "-o", path, "github.com/mcpkeys/mcpkeys/cmd/keyctl").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build keyctl: %v\n%s", err, out)
		return 1
	}
	// The race detector lets every program sleep a second before it ends.
	if err := errors.Join(os.Setenv(envReal, path), os.Setenv("GORACE", "atexit_sleep_ms=0")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return run()
}

func realKeyctl() demo.Keyctl { return demo.Keyctl{Path: os.Getenv(envReal), Shown: "keyctl"} }

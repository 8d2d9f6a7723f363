package archtest_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"testing"
)

const module = "github.com/mcpkeys/mcpkeys"

// pkg is what go list tells of one package of this module.
type pkg struct {
	ImportPath   string
	Name         string
	Dir          string
	Imports      []string
	Deps         []string // everything linked in, directly or not
	GoFiles      []string
	CgoFiles     []string
	TestGoFiles  []string
	XTestGoFiles []string
}

// path is the import path inside the module: "keys", "store/sqlite".
func (p *pkg) path() string { return inside(p.ImportPath) }

func (p *pkg) testFiles() []string { return append(p.TestGoFiles, p.XTestGoFiles...) }

// inside shortens an import path of this module and leaves others unchanged.
func inside(importPath string) string {
	return strings.TrimPrefix(strings.TrimPrefix(importPath, module), "/")
}

var loadOnce = sync.OnceValues(func() ([]*pkg, error) {
	out, err := output("go", "list", "-json", "./...")
	if err != nil {
		return nil, err
	}
	var list []*pkg
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		p := new(pkg)
		if err := dec.Decode(p); errors.Is(err, io.EOF) {
			return list, nil
		} else if err != nil {
			return nil, err
		}
		list = append(list, p)
	}
})

// load returns every package of the module. It checks that keys is among them: with an empty
// list every rule would hold.
func load(t testing.TB) []*pkg {
	t.Helper()
	list, err := loadOnce()
	if err != nil {
		t.Fatalf("list packages: %v", err)
	}
	for _, p := range list {
		if p.path() == "keys" {
			return list
		}
	}
	t.Fatalf("go list ./... names %d packages and keys is not among them", len(list))
	return nil
}

// output runs a program at the root of the module.
func output(name string, args ...string) ([]byte, error) {
	cmd := exec.Command(name, args...)
	cmd.Dir = root
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", cmd, err, stderr.Bytes())
	}
	return out, nil
}

// root is the root of the module, seen from this package.
const root = "../../.."

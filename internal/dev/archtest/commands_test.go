package archtest_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Many machines have no C compiler: then the build fails without naming it, or the binary fails
// at its first query.
func TestMakeNamesWhatIsMissing(t *testing.T) {
	for _, tc := range []struct{ name, env, want string }{
		{"no compiler", "CC=no-such-compiler", "install gcc (Debian: apt-get install gcc), then run make again"},
		{"a compiler that cannot compile", "CC=false", "headers (Debian: apt-get install gcc libc6-dev), then run make again"},
		{"cgo off", "CGO_ENABLED=0", "unset CGO_ENABLED"},
		{"no go", "PATH=" + pathWithoutGo(t), "needs Go 1.26 or newer: install it from https://go.dev/dl"},
		{"an old go", "PATH=" + pathWithGo(t, "go1.19.8"), "needs Go 1.26 or newer, and this is go1.19.8"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			out, err := runIn(t, root, tc.env, "make", "demo")
			if err == nil {
				t.Errorf("make demo with %s: succeeded", tc.name)
			}
			if !strings.Contains(out, tc.want) {
				t.Errorf("make demo with %s: got %q, want in it %q", tc.name, out, tc.want)
			}
		})
	}
}

// The sentence comes before anything is built, also in the targets that this test cannot run,
// because they would run it.
func TestMakeLooksBeforeItBuilds(t *testing.T) {
	for _, target := range []string{"demo", "demo-up", "test", "race", "build", "vet"} {
		out, err := runIn(t, root, "", "make", "--dry-run", "--no-print-directory", target)
		if err != nil {
			t.Fatalf("make --dry-run %s: %v\n%s", target, err, out)
		}
		if !strings.HasPrefix(out, ".ci/toolchain\n") {
			t.Errorf("make --dry-run %s: got %q first, want .ci/toolchain", target, out)
		}
	}
}

func TestMakeAloneHelps(t *testing.T) {
	out, err := runIn(t, root, "", "make")
	if err != nil {
		t.Fatalf("make: %v\n%s", err, out)
	}
	for _, want := range []string{"make demo ", "make test ", "make check "} {
		if !strings.Contains(out, want) {
			t.Errorf("make: got %q, want in it %q", out, want)
		}
	}
}

// The strict run must fail for a skipped test and for a failed one, and for nothing else, in a
// module made for this test.
func TestStrictRunRefusesSkips(t *testing.T) {
	script, err := filepath.Abs(filepath.Join(root, ".ci", "strict-test"))
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name, body, want string
		ok               bool
	}{
		{name: "passes", body: ``, want: "DONE 1 tests", ok: true},
		{name: "skips", body: `t.Run("inner", func(t *testing.T) { t.SkipNow() })`, want: "strict TestIt/inner"},
		{name: "fails", body: `t.Fatal("because of this")`, want: "because of this"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, "go.mod", "module strict\n\ngo 1.26\n", 0o600)
			write(t, dir, "it_test.go", "package strict\n\nimport \"testing\"\n\nfunc TestIt(t *testing.T) { "+tc.body+" }\n", 0o600)
			out, err := runIn(t, dir, "", script, "./...")
			if (err == nil) != tc.ok {
				t.Errorf("strict-test of a test that %s: got error %v", tc.name, err)
			}
			if !strings.Contains(out, tc.want) {
				t.Errorf("strict-test of a test that %s: got %q, want in it %q", tc.name, out, tc.want)
			}
		})
	}
}

// pathWithoutGo is a PATH with what make and its scripts use and nothing else.
func pathWithoutGo(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"sh", "make", "sed"} {
		at, err := exec.LookPath(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(at, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// pathWithGo adds a go command that says it is of the given version.
func pathWithGo(t *testing.T, version string) string {
	t.Helper()
	dir := pathWithoutGo(t)
	write(t, dir, "go", "#!/bin/sh\necho "+version+"\n", 0o700)
	return dir
}

// runIn runs a command with one variable of its environment set.
func runIn(t *testing.T, dir, env, name string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = dir
	cmd.Env = os.Environ()
	if env != "" {
		cmd.Env = append(cmd.Env, env)
	}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func write(t *testing.T, dir, name, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

// A test that was renamed is in none of the Makefile's lists. It then runs where it takes too
// long, and the list does not show it.
func TestListsOfTheMakefileNameTests(t *testing.T) {
	files := textFiles(t)
	var tests strings.Builder
	for name, text := range files {
		if strings.HasSuffix(name, "_test.go") {
			tests.WriteString(text)
		}
	}
	lists := regexp.MustCompile(`\$\(call any,([^)]*)\)`).FindAllStringSubmatch(files["Makefile"], -1)
	if len(lists) != 2 {
		t.Fatalf("Makefile: got %d lists of tests, want LONG and SLOW", len(lists))
	}
	for _, list := range lists {
		for _, name := range strings.Fields(strings.ReplaceAll(list[1], `\`, "")) {
			if !strings.Contains(tests.String(), "\nfunc "+name+"(t *testing.T)") {
				t.Errorf("Makefile: no test is called %s", name)
			}
		}
	}
}

package archtest_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
)

// outside is a program of another module: it mounts both HTTP APIs, puts a guard before its own
// authenticator, and implements the interfaces. A name that is only in an internal package
// would not compile.
const outside = `package main

import (
	"log"
	"net/http"

	"github.com/mcpkeys/mcpkeys/admin/server"
	"github.com/mcpkeys/mcpkeys/mcpkeystest"
	"github.com/mcpkeys/mcpkeys/middleware"
	"github.com/mcpkeys/mcpkeys/store"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
	"github.com/mcpkeys/mcpkeys/verifier"
	"github.com/mcpkeys/mcpkeys/verifier/local"
	"github.com/mcpkeys/mcpkeys/verifyapi"
)

type own struct{ middleware.Verifier }

func mount(st store.Store, v *verifier.Verifier) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/v1/keys", server.Handler(st, v, nil))
	mux.Handle("/v1/verify", verifyapi.Handler(v, &verifyapi.Options{}))
	mux.Handle("/", middleware.New(own{v}, nil).Require("hello:read")(http.NotFoundHandler()))
	return mux
}

var _ verifier.Source = mcpkeystest.New().Source()

func main() {
	st, err := sqlite.Open("keys.db", nil)
	if err != nil {
		log.Fatal(err)
	}
	v, err := verifier.New(local.New(st, nil), nil)
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(http.ListenAndServe("localhost:0", mount(st, v)))
}
`

func TestMountedFromOutside(t *testing.T) {
	here, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	mod := regexp.MustCompile(`(?m)^module .*$`).ReplaceAllString(read(t, filepath.Join(root, "go.mod")), "module outside.example")
	mod += "\nrequire " + module + " v0.0.0\nreplace " + module + " => " + here + "\n"
	for name, text := range map[string]string{"go.mod": mod, "go.sum": read(t, filepath.Join(root, "go.sum")), "main.go": outside} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	build := exec.Command("go", "vet", "-mod=mod", ".")
	build.Dir = dir
	if out, err := build.CombinedOutput(); err != nil {
		t.Errorf("a program outside: %v\n%s", err, out)
	}
}

package demo_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"syscall"

	_ "github.com/mattn/go-sqlite3"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpkeys/mcpkeys/middleware"
	"github.com/mcpkeys/mcpkeys/middleware/mcpauth"
)

// sabotage acts as the real keyctl, except for the break that name selects.
func sabotage(name string, args []string) int {
	if args[0] == "init" && name == "init-does-nothing" || args[0] == "revoke" && name == "revoke-does-nothing" {
		return 0
	}
	if name == args[0]+"-fails" {
		fmt.Fprintln(os.Stderr, "keyctl: broken on purpose")
		return 2
	}
	if args[0] == "serve" { // it must end with this process
		mustDo(syscall.Exec(os.Getenv(envReal), append([]string{"keyctl"}, args...), os.Environ()))
	}
	if slices.Contains(args, "--tool") && name == "issue-everything" {
		args[len(args)-1] = "*"
	}
	if name == args[0]+"-talks" {
		fmt.Println("here is your key:")
	}
	if args[0] == "rotate" && name == "rotate-at-once" {
		args[len(args)-1] = "0"
		args = append(args, "--yes")
	}
	if args[0] == "rotate" && name == "rotate-slowly" {
		args[len(args)-1] = "1h"
	}
	cmd := exec.Command(os.Getenv(envReal), args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return 9
	}
	switch {
	case args[0] == "init" && name == "init-readable-by-all":
		mustDo(os.Chmod("mcpkeys.db", 0o644))
	case args[0] == "revoke" && name == "revoke-breaks-the-store":
		edit(`UPDATE keys SET owner = 'mallory'`)
		// The server reads the key of an open stream at once, so it may have read it before
		// the edit. Any change makes it read the key again.
		mustDo(exec.Command(os.Getenv(envReal), "issue", "nudge").Run())
	case args[0] == "revoke" && name == "revoke-edits-the-audit-log":
		edit(`UPDATE audit SET actor = 'local:mallory' WHERE seq = 1`)
	case args[0] == "revoke" && name == "revoke-cuts-the-audit-log":
		edit(`DELETE FROM audit WHERE seq >= 4`)
	}
	return 0
}

func edit(statement string) {
	db := must(sql.Open("sqlite3", "mcpkeys.db"))
	must(db.Exec(statement))
	mustDo(db.Close())
}

func must[T any](v T, err error) T {
	mustDo(err)
	return v
}

func mustDo(err error) {
	if err != nil {
		panic(err)
	}
}

// unguarded leaves the guard out.
func unguarded(_ *middleware.Guard, s *mcp.Server) http.Handler {
	return mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return s }, nil)
}

// tampered guards s, and answers the calls of one tool with answer.
func tampered(tool string, answer func() (mcp.Result, error)) func(*middleware.Guard, *mcp.Server) http.Handler {
	return func(g *middleware.Guard, s *mcp.Server) http.Handler {
		guarded := mcpauth.Handler(g, s, nil)
		s.AddReceivingMiddleware(func(next mcp.MethodHandler) mcp.MethodHandler {
			return func(ctx context.Context, method string, req mcp.Request) (mcp.Result, error) {
				if call, ok := req.GetParams().(*mcp.CallToolParamsRaw); ok && call.Name == tool {
					return answer()
				}
				return next(ctx, method, req)
			}
		})
		return guarded
	}
}

func says(text string) (mcp.Result, error) {
	return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: text}}}, nil
}

func brokenTool(g *middleware.Guard, s *mcp.Server) http.Handler {
	return tampered("get_feels_like", func() (mcp.Result, error) { return nil, errors.New("get_feels_like is out of order") })(g, s)
}

func wrongAnswer(g *middleware.Guard, s *mcp.Server) http.Handler {
	return tampered("get_feels_like", func() (mcp.Result, error) { return says("mild") })(g, s)
}

func deniedAloud(g *middleware.Guard, s *mcp.Server) http.Handler {
	return tampered("set_reading", func() (mcp.Result, error) { return nil, errors.New("you may not call set_reading") })(g, s)
}

func deniedRuns(g *middleware.Guard, s *mcp.Server) http.Handler {
	return tampered("set_reading", func() (mcp.Result, error) { return says("recorded") })(g, s)
}

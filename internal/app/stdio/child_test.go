//go:build linux

package stdio_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A test that needs an MCP server starts this binary again with a role in the environment.
const roleVar = "STDIO_TEST_ROLE"

// binary is a copy of this test that every user may run.
var binary string

func TestMain(m *testing.M) {
	roles := map[string]func(){
		"server": func() { serve(&puppet{}) }, "modern": func() { serve(&puppet{modern: true}) },
		"silent": silentRole, "probed": probedRole, "gone": func() { os.Exit(7) }, "deaf": deafRole,
		"sleep": sleepRole, "gosdk": goSDKRole,
	}
	if filepath.Base(os.Args[0]) == "whoami" {
		fmt.Print("effective user ", os.Geteuid(), " ")
		return
	}
	if role, ok := roles[os.Getenv(roleVar)]; ok {
		role()
		return
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "stdio")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "server")
	self, err := os.Executable()
	if err != nil {
		panic(err)
	}
	text, err := os.ReadFile(self)
	if err != nil {
		panic(err)
	}
	if err := errors.Join(os.Chmod(dir, 0o755), os.WriteFile(binary, text, 0o755), os.Chmod(binary, 0o755)); err != nil {
		panic(err)
	}
	return m.Run()
}

// A puppet is an MCP server whose tools do what a test asks for.
type puppet struct {
	modern bool // it knows server/discover

	mu      sync.Mutex // guards standard output
	waiting sync.Map   // answers that requests of the puppet wait for, by id
	open    sync.Map   // calls that a cancellation may end, by id
}

type wire struct {
	ID     json.RawMessage `json:"id,omitempty"`
	Method string          `json:"method,omitempty"`
	Params struct {
		Name      string          `json:"name"`
		Arguments json.RawMessage `json:"arguments"`
		RequestID json.RawMessage `json:"requestId"`
		Meta      struct {
			Token json.RawMessage `json:"progressToken"`
		} `json:"_meta"`
	} `json:"params"`
	Result json.RawMessage `json:"result,omitempty"`
}

func serve(p *puppet) {
	in := bufio.NewReaderSize(os.Stdin, 8<<20)
	for {
		line, err := in.ReadBytes('\n')
		if err != nil {
			return
		}
		p.take(bytes.TrimSpace(line))
	}
}

func (p *puppet) take(line []byte) {
	var m wire
	if err := json.Unmarshal(line, &m); err != nil {
		fmt.Fprintln(os.Stderr, "not JSON:", err)
		return
	}
	switch {
	case m.Method == "":
		if c, ok := p.waiting.Load(string(m.ID)); ok {
			c.(chan string) <- string(line)
		}
	case m.Method == "initialize":
		p.result(m.ID, `{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"puppet","version":"1"}}`)
	case m.Method == "server/discover" && p.modern:
		p.result(m.ID, `{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"tools":{}},"ttlMs":0,"cacheScope":"private","_meta":{"io.modelcontextprotocol/serverInfo":{"name":"puppet","version":"1"}}}`)
	case m.Method == "notifications/cancelled":
		if c, ok := p.open.Load(string(m.Params.RequestID)); ok {
			close(c.(chan struct{}))
		}
		_ = os.WriteFile(os.Getenv("STDIO_TEST_CANCELLED"), line, 0o600)
	case m.Method == "subscriptions/listen":
		p.write(`{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{"notifications":{},"_meta":{"io.modelcontextprotocol/subscriptionId":` + string(m.ID) + `}}}`)
	case m.Method == "tools/call":
		ended := make(chan struct{})
		p.open.Store(string(m.ID), ended)
		go p.call(m, line, ended)
	case m.ID != nil:
		p.write(fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"error":{"code":-32601,"message":"method not found"}}`, m.ID))
	}
}

func (p *puppet) write(line string) { p.raw(line + "\n") }

func (p *puppet) raw(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, _ = io.WriteString(os.Stdout, text)
}

func (p *puppet) result(id json.RawMessage, result string) {
	p.write(`{"jsonrpc":"2.0","id":` + string(id) + `,"result":` + result + `}`)
}

func (p *puppet) text(id json.RawMessage, text string) {
	quoted, _ := json.Marshal(text)
	p.result(id, `{"content":[{"type":"text","text":`+string(quoted)+`}]}`)
}

// call does what the tool's name says.
func (p *puppet) call(m wire, line []byte, ended <-chan struct{}) {
	argument := ""
	_ = json.Unmarshal(m.Params.Arguments, &argument)
	switch m.Params.Name {
	case "line":
		p.text(m.ID, string(line))
	case "probe":
		p.text(m.ID, "done")
	case "pid":
		p.text(m.ID, strconv.Itoa(os.Getpid()))
	case "env":
		p.text(m.ID, strings.Join(os.Environ(), "\n"))
	case "fds":
		p.text(m.ID, descriptors())
	case "id":
		p.text(m.ID, fmt.Sprint(os.Getuid(), os.Getgid()))
	case "file":
		text, err := os.ReadFile(argument)
		p.text(m.ID, fmt.Sprint(string(text), err))
	case "run": // a copy of this program
		text, err := exec.Command(argument).CombinedOutput()
		p.text(m.ID, fmt.Sprint(string(text), err))
	case "open":
		_, err := os.ReadFile(argument)
		p.text(m.ID, fmt.Sprint(err))
	case "parent":
		p.text(m.ID, openParent())
	case "hang":
		<-ended
	case "crash":
		n, _ := strconv.Atoi(argument)
		os.Exit(n)
	case "progress":
		p.write(`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":` + string(m.Params.Meta.Token) + `,"progress":1}}`)
		p.text(m.ID, "done")
	case "notify":
		p.write(`{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}`)
		p.text(m.ID, "done")
	case "ask":
		answer := make(chan string, 1)
		p.waiting.Store(`"ask-1"`, answer)
		p.write(`{"jsonrpc":"2.0","id":"ask-1","method":"sampling/createMessage","params":{}}`)
		p.text(m.ID, <-answer)
	case "write":
		p.raw(argument)
		p.text(m.ID, "done")
	case "half":
		p.raw(`{"jsonrpc":"2.0","id":`)
		os.Exit(0)
	case "flood":
		p.flood(m.ID, argument)
	case "complain":
		_, _ = io.WriteString(os.Stderr, argument)
		p.text(m.ID, "done")
	case "ignore":
		signal.Ignore(syscall.SIGTERM)
		p.text(m.ID, "done")
		go func() { time.Sleep(time.Hour) }()
		select {}
	case "close":
		_ = os.Stdout.Close()
		select {}
	case "spawn":
		p.text(m.ID, spawn(argument))
	}
}

// flood writes lines of a MiB, or one line without end.
func (p *puppet) flood(id json.RawMessage, argument string) {
	n, _ := strconv.Atoi(argument)
	mib := strings.Repeat("x", 1<<20)
	if n == 0 {
		for {
			p.raw(mib)
		}
	}
	for range n {
		p.write(`{"jsonrpc":"2.0","method":"notifications/message","params":{"data":"` + mib + `"}}`)
	}
	p.text(id, "done")
}

func sleepRole() {
	signal.Ignore(syscall.SIGTERM, syscall.SIGHUP)
	time.Sleep(time.Hour)
}

// silentRole reads everything and answers nothing.
func silentRole() { _, _ = io.Copy(io.Discard, os.Stdin) }

// deafRole answers initialize and then reads nothing.
func deafRole() {
	in := bufio.NewReaderSize(os.Stdin, 16)
	line, _ := in.ReadBytes('\n')
	(&puppet{}).take(line)
	select {}
}

// probedRole ends when its first message is not initialize.
func probedRole() {
	in := bufio.NewReader(os.Stdin)
	line, _ := in.ReadString('\n')
	if !strings.Contains(line, `"initialize"`) {
		os.Exit(1)
	}
	p := &puppet{}
	p.take([]byte(line))
	for {
		line, err := in.ReadBytes('\n')
		if err != nil {
			return
		}
		p.take(line)
	}
}

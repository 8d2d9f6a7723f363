package main

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"hash/crc32"
	"io/fs"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	_ "github.com/mattn/go-sqlite3"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/usage"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
)

// The commands that scripts have besides those of testscript.

// cmdExits is exec with the wanted exit code: exits 6 keyctl show missing.
func cmdExits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE program [args...]")
	}
	got := 0
	var exit *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if strconv.Itoa(got) != args[0] {
		ts.Fatalf("exit code: got %d, want %s", got, args[0])
	}
}

// cmdSQL is the database shell that an operator, or an attacker, may have.
func cmdSQL(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: sql FILE STATEMENT")
	}
	db, err := sql.Open("sqlite3", ts.MkAbs(args[0]))
	ts.Check(err)
	defer func() { ts.Check(db.Close()) }()
	_, err = db.Exec(args[1])
	ts.Check(err)
}

// cmdFlock locks a file until the script ends, like a process that does not finish writing.
func cmdFlock(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: flock FILE")
	}
	f, err := os.Open(ts.MkAbs(args[0]))
	ts.Check(err)
	ts.Defer(func() { _ = f.Close() }) // it was only read
	ts.Check(syscall.Flock(int(f.Fd()), syscall.LOCK_EX))
}

// cmdUse counts a call with a key, as a guarded server does: its outcome and, if it was
// accepted, its address and client.
func cmdUse(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 || len(args) > 7 {
		ts.Fatalf("usage: use KEY AGO CODE [SCOPE [IP [AGENT [SECRET]]]]")
	}
	args = append(args, make([]string, 7-len(args))...)
	s, err := sqlite.OpenVerifier(ts.MkAbs("mcpkeys.db"), nil)
	ts.Check(err)
	defer func() { ts.Check(s.Close()) }()
	page, err := s.List(context.Background(), keys.Query{Name: args[0]})
	ts.Check(err)
	ago, err := keys.ParseDuration(args[1])
	ts.Check(err)
	at := time.Now().Add(-ago).UTC()
	use := usage.Use{KeyID: page.Keys[0].ID, Counts: []usage.Count{{Hour: at.Truncate(time.Hour), Code: keys.Code(args[2]), Scope: args[3], Calls: 1}}}
	if keys.Code(args[2]) == keys.CodeValid {
		last := keys.LastUse{Secret: 1, At: at.Truncate(time.Microsecond), Agent: args[5]}
		last.ClientIP, _ = netip.ParseAddr(args[4])
		if args[6] != "" {
			last.Secret, err = strconv.ParseInt(args[6], 10, 64)
			ts.Check(err)
		}
		use.Last = []keys.LastUse{last}
	}
	ts.Check(s.AddUse(context.Background(), []usage.Use{use}))
}

// cmdMistype copies a key with one character of its secret changed.
func cmdMistype(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: mistype FROM TO")
	}
	key := []byte(ts.ReadFile(args[0]))
	if key[30] == 'x' {
		key[30] = 'y'
	} else {
		key[30] = 'x'
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), key, 0o600))
}

// cmdForge makes up a key with the same id, another secret and right check digits, as any
// attacker can: forge KEYFILE TO.
func cmdForge(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: forge KEYFILE TO")
	}
	other := keys.NewToken(keys.KindKey).Secret().Reveal()
	body := ts.ReadFile(args[0])[:18] + other[18:len(other)-6]
	const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	var check [6]byte
	rest := crc32.ChecksumIEEE([]byte(body))
	for i := range check {
		check[5-i] = digits[rest%62]
		rest /= 62
	}
	if _, err := keys.ParseToken(body + string(check[:])); err != nil {
		ts.Fatalf("the forged key has not the form of a key: %v", err)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), append([]byte(body), check[:]...), 0o600))
}

// cmdNoSecret fails if any of the files contains eight successive characters of the key's
// secret. Directories are walked.
func cmdNoSecret(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: nosecret KEYFILE FILE...")
	}
	key := strings.TrimSpace(ts.ReadFile(args[0]))
	secret := key[strings.LastIndex(key, "_")+1:]
	if len(secret) != 36 {
		ts.Fatalf("%s does not hold a key", args[0])
	}
	for _, name := range args[1:] {
		if name == "stdout" || name == "stderr" {
			noPiece(ts, secret, name, []byte(ts.ReadFile(name)))
			continue
		}
		ts.Check(filepath.WalkDir(ts.MkAbs(name), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			content, err := os.ReadFile(path)
			noPiece(ts, secret, path, content)
			return err
		}))
	}
}

func noPiece(ts *testscript.TestScript, secret, name string, content []byte) {
	for i := 0; i+8 <= len(secret); i++ {
		if bytes.Contains(content, []byte(secret[i:i+8])) {
			ts.Fatalf("%s holds a piece of the secret, from its character %d on", name, i)
		}
	}
}

// cmdNoEscape fails when the last command wrote an ESC byte.
func cmdNoEscape(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 0 {
		ts.Fatalf("usage: noescape")
	}
	if strings.Contains(ts.ReadFile("stdout")+ts.ReadFile("stderr"), "\x1b") {
		ts.Fatalf("the output holds an escape sequence")
	}
}

// cmdOnlyJSON checks that standard output is empty and standard error one JSON
// object with the given error code.
func cmdOnlyJSON(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: onlyjson CODE")
	}
	if out := ts.ReadFile("stdout"); out != "" {
		ts.Fatalf("stdout: got %q, want nothing", out)
	}
	var e struct {
		Error struct{ Code, Message string }
	}
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stderr")), &e))
	if e.Error.Code != args[0] || e.Error.Message == "" {
		ts.Fatalf("error: got %+v, want the code %s and a message", e.Error, args[0])
	}
}

// cmdAsAnswered checks that the JSON on standard output has the same objects, in the same
// order and shape, as the answer of the HTTP API in the file answer. Objects may have more
// members.
func cmdAsAnswered(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: asanswered")
	}
	var answer map[string]json.RawMessage
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("answer")), &answer))
	want := []map[string]json.RawMessage{answer}
	if data, ok := answer["data"]; ok {
		want = nil
		ts.Check(json.Unmarshal(data, &want))
	}
	printed := json.NewDecoder(strings.NewReader(ts.ReadFile("stdout")))
	for _, one := range want {
		var got map[string]json.RawMessage
		ts.Check(printed.Decode(&got))
		for member, value := range one {
			if member == "since" || member == "secrets" && got[member] != nil {
				continue // since differs by the time of the call; show adds last uses to secrets
			}
			if is, should := compact(got[member]), compact(value); is != should {
				ts.Fatalf("%s: keyctl prints %q, and the API answers %s", member, is, should)
			}
		}
	}
	if len(want) == 0 || printed.More() {
		ts.Fatalf("the API answers %d things, and keyctl prints others", len(want))
	}
}

func compact(value json.RawMessage) string {
	var b bytes.Buffer
	_ = json.Compact(&b, value) // a missing member is not JSON, and stays empty
	return b.String()
}

// cmdMode checks the permissions of files: mode 0600 keys.db keys.db.pepper.
func cmdMode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: mode OCTAL FILE...")
	}
	want, err := strconv.ParseUint(args[0], 8, 32)
	ts.Check(err)
	for _, name := range args[1:] {
		info, err := os.Stat(ts.MkAbs(name))
		ts.Check(err)
		if got := info.Mode().Perm(); got != fs.FileMode(want) {
			ts.Fatalf("mode of %s: got %04o, want %04o", name, got, want)
		}
	}
}

// cmdMany issues keys k1 to kN.
func cmdMany(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: many COUNT")
	}
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	for i := 1; i <= n; i++ {
		ts.Check(ts.Exec("keyctl", "issue", "k"+strconv.Itoa(i), "--scope", "tools:get_*", "--owner", "many"))
	}
}

// cmdNarrow fails when a line of the last output fills more than 80 columns.
func cmdNarrow(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 0 {
		ts.Fatalf("usage: narrow")
	}
	for _, line := range strings.Split(ts.ReadFile("stdout")+ts.ReadFile("stderr"), "\n") {
		if n := cells(line); n > 80 {
			ts.Fatalf("%d columns: %s", n, line)
		}
	}
}

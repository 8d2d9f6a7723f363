//go:build linux

package fleet_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/mcpkeys/mcpkeys/verifier"
	"github.com/mcpkeys/mcpkeys/verifier/remote"
)

// A guard is this binary again, with its role in the environment.
const roleVar = "MCPKEYS_FLEET_GUARD"

func TestMain(m *testing.M) {
	if os.Getenv(roleVar) == "" {
		os.Exit(m.Run())
	}
	if err := guard(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "guard:", err)
		os.Exit(1)
	}
}

// board is memory that the test shares with one guard, in a file, so that it outlives a guard
// that is killed. All words are atomic.
type board struct{ words []uint64 }

const (
	wordFrom     = 0 // the keys from this number
	wordTo       = 1 // to this one are checked
	wordAccepted = 2 // checks that were accepted
	wordRefused  = 3
	wordUnknown  = 4 // checks that could not be decided
	wordKeys     = 8 // for each key: when the last check began that was accepted
)

func openBoard(path string, keys int) (*board, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	size := 8 * (wordKeys + keys)
	if err := f.Truncate(int64(size)); err != nil {
		return nil, err
	}
	memory, err := syscall.Mmap(int(f.Fd()), 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		return nil, err
	}
	return &board{unsafe.Slice((*uint64)(unsafe.Pointer(&memory[0])), wordKeys+keys)}, nil
}

func (b *board) get(i int) uint64    { return atomic.LoadUint64(&b.words[i]) }
func (b *board) set(i int, n uint64) { atomic.StoreUint64(&b.words[i], n) }
func (b *board) add(i int)           { atomic.AddUint64(&b.words[i], 1) }

func (b *board) raise(i int, n uint64) {
	for {
		if was := b.get(i); was >= n || atomic.CompareAndSwapUint64(&b.words[i], was, n) {
			return
		}
	}
}

// clock is the kernel's monotonic clock, which all processes share.
func clock() uint64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		panic(err)
	}
	return uint64(t.Nano())
}

// checkers is how many goroutines of a guard check keys.
const checkers = 2

// guard checks the keys of the board's window without pause, until it is killed. Its arguments
// are the server, the file of the verify key, the file with the server's certificate, that of
// the secrets, that of the board, and how many verifiers to have.
func guard(args []string) error {
	if len(args) != 6 {
		return errors.New("six arguments are needed")
	}
	verifiers, err := strconv.Atoi(args[5])
	if err != nil {
		return err
	}
	text, err := os.ReadFile(args[3])
	if err != nil {
		return err
	}
	secrets := strings.Fields(string(text))
	b, err := openBoard(args[4], len(secrets))
	if err != nil {
		return err
	}
	pem, err := os.ReadFile(args[2])
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	for range verifiers {
		v, err := verifier.New(remote.New(args[0], &remote.Options{
			KeyFile: args[1], Audience: "weather",
			Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true, TLSHandshakeTimeout: time.Second},
		}), nil)
		if err != nil {
			return err
		}
		for i := range checkers {
			go check(v, b, secrets, i, verifiers)
		}
	}
	select {}
}

func check(v *verifier.Verifier, b *board, secrets []string, at, verifiers int) {
	for ; ; at++ {
		from, to := int(b.get(wordFrom)), int(b.get(wordTo))
		if to <= from {
			time.Sleep(time.Millisecond)
			continue
		}
		i := from + at%(to-from)
		began := clock()
		d := v.Authenticate(context.Background(), secrets[i], verifier.Call{Audience: "weather"})
		switch {
		case d.Valid():
			b.raise(wordKeys+i, began)
			b.add(wordAccepted)
		case d.Cause != nil:
			b.add(wordUnknown)
		default:
			b.add(wordRefused)
		}
		if at%8 == 0 {
			time.Sleep(time.Duration(verifiers) * 200 * time.Microsecond) // there are others on this machine
		}
	}
}

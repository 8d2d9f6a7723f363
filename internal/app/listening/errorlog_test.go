package listening_test

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mcpkeys/mcpkeys/internal/app/listening"
)

// lockedBuffer is also written by a timer's goroutine.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// Ten lines a minute of each kind, then one with the number of the others. A flood of
// handshakes does not hide other errors, and probes of the port are not logged as failures.
func TestErrorLogIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b lockedBuffer
		log := listening.NewErrorLog(slog.New(slog.NewTextHandler(&b, nil)))
		for range 40 {
			log.Print("http: TLS handshake error from 192.0.2.7:4711: EOF")
			log.Print("http: TLS handshake error from 192.0.2.7:4711: remote error: tls: bad certificate")
		}
		log.Print("http: Accept error: too many open files; retrying in 5ms")
		for text, want := range map[string]int{": EOF": 0, "bad certificate": 10, "too many open files": 1, "not_logged": 0} {
			if n := strings.Count(b.String(), text); n != want {
				t.Errorf("%s: got %d lines, want %d", text, n, want)
			}
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if n := strings.Count(b.String(), "not_logged=30"); n != 1 || strings.Count(b.String(), "not_logged") != 1 {
			t.Errorf("after a minute: got %s, want one line with the number 30", b.String())
		}
	})
}

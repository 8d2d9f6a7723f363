package middleware_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mcpkeys/mcpkeys/middleware"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
	"github.com/mcpkeys/mcpkeys/verifier"
	"github.com/mcpkeys/mcpkeys/verifier/local"
)

// sharedLog is written by all loggers, and read by the test.
type sharedLog struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *sharedLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *sharedLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *sharedLog) Reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text.Reset()
}

// A22. The attack: a flood of requests without a valid key, to fill the disk with log lines.
// Ten of each kind are logged a minute, and the number of the rest; with too many kinds, they
// are counted together.
func TestA22FloodFillsNoLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.db")
	if err := sqlite.Create(path, nil); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		st, err := sqlite.OpenVerifier(path, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = st.Close() }()
		v, err := verifier.New(local.New(st, nil), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = v.Close() }()
		var log sharedLog
		guard := middleware.New(v, &middleware.Options{Logger: slog.New(slog.NewJSONHandler(&log, nil))})
		refuse := func(ip, key string) {
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.RemoteAddr = ip + ":1234"
			if key != "" {
				r.Header.Set("X-Api-Key", key)
			}
			guard.Admit(httptest.NewRecorder(), r)
		}
		lines := func(text string) int { return strings.Count(log.String(), text) }

		for range 1000 {
			refuse("192.0.2.1", "")
		}
		refuse("192.0.2.2", "")
		refuse("192.0.2.1", "junk")
		if got := lines("request refused"); got != 12 {
			t.Errorf("a flood of one kind, and two others: got %d lines, want 10 and 2", got)
		}
		time.Sleep(61 * time.Second)
		synctest.Wait()
		if got := log.String(); lines("more requests refused") != 1 || !strings.Contains(got, `"code":"no_credential","key_id":"","source":"192.0.2.1/32","not_logged":990}`) {
			t.Errorf("after a minute: got %s, want one line with the number", got)
		}
		log.Reset()
		refuse("192.0.2.1", "")
		if got := lines("request refused"); got != 1 {
			t.Errorf("in the next minute: got %d lines, want 1", got)
		}
		for i := range 20_000 {
			refuse(fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255), "")
			refuse(fmt.Sprintf("[2001:db8::%x]", i), "") // one network
		}
		if got := lines("\n"); got > 300 {
			t.Errorf("a flood from everywhere: got %d lines, want some 275", got)
		}
		time.Sleep(61 * time.Second)
		synctest.Wait()
		if lines(`"source":"2001:db8::/64","not_logged":19990`) != 1 || lines(`"source":"","not_logged":`) != 1 {
			t.Errorf("after a flood from everywhere: the numbers are missing")
		}
	})
}

package verifier

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"
)

// That keys in use look unused is not silent, and does not fill the log either.
func TestUseErrorsAreLogged(t *testing.T) {
	var log bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
	defer slog.SetDefault(before)
	now := time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)
	hear := logUseErrors(func() time.Time { return now })
	for range 3 {
		for range 20 {
			hear(errors.New("read-only file system"))
		}
		now = now.Add(useErrorsEach)
	}
	if got := strings.Count(log.String(), "may look unused"); got != 3 || !strings.Contains(log.String(), "read-only file system") {
		t.Errorf("log: got %d lines, want one a minute:\n%s", got, &log)
	}
}

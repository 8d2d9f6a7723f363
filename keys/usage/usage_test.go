package usage_test

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/usage"
)

func TestParseSince(t *testing.T) {
	now := time.Date(2026, 11, 23, 10, 30, 0, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"":                            now.Add(-24 * time.Hour),
		"0s":                          now,
		"24h":                         now.Add(-24 * time.Hour),
		"7d":                          now.AddDate(0, 0, -7),
		"2026-11-01":                  time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC),
		"2026-11-01T00:00:00Z":        time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC),
		"2026-11-01T02:00:00.5+02:00": time.Date(2026, 11, 1, 0, 0, 0, 5e8, time.UTC),
	} {
		if got, err := usage.ParseSince(text, now); err != nil || !got.Equal(want) {
			t.Errorf("ParseSince(%q): got %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"yesterday", "-1h", "1.5h", "24", " 24h", "2026-11", "2026-13-01"} {
		_, err := usage.ParseSince(text, now)
		var invalid *keys.InvalidError
		if !errors.As(err, &invalid) || invalid.Field != "since" {
			t.Errorf("ParseSince(%q): got %v, want an InvalidError of since", text, err)
		}
	}
}

func TestUsageSums(t *testing.T) {
	hour := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	count := func(hours int, code keys.Code, scope string, calls int64) usage.Count {
		return usage.Count{Hour: hour.Add(time.Duration(hours) * time.Hour), Code: code, Scope: scope, Calls: calls}
	}
	u := usage.Usage{Counts: []usage.Count{
		count(-30, keys.CodeValid, "", 100), count(-2, keys.CodeRevoked, "", 2), count(-2, keys.CodeValid, "", 3),
		count(-2, keys.CodeValid, "tools:a", 2), count(-2, keys.CodeInsufficientScope, "tools:b", 9),
		count(0, keys.CodeValid, "", 4), count(0, keys.CodeInsufficientScope, "tools:a", 1), count(1, keys.CodeValid, "", 50),
	}}
	if got, want := u.Calls(), int64(159); got != want {
		t.Errorf("Calls: got %d, want %d", got, want)
	}
	if d := cmp.Diff([]usage.Outcome{{Code: keys.CodeValid, Calls: 157}, {Code: keys.CodeRevoked, Calls: 2}}, u.Outcomes()); d != "" {
		t.Errorf("Outcomes (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]usage.Scope{{Scope: "tools:b", Denied: 9}, {Scope: "tools:a", Allowed: 2, Denied: 1}}, u.Scopes()); d != "" {
		t.Errorf("Scopes (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]int64{5, 0, 4}, u.Hourly(hour.Add(-90*time.Minute), hour.Add(59*time.Minute))); d != "" {
		t.Errorf("Hourly (-want +got):\n%s", d)
	}
	if got := u.Hourly(hour.Add(2*time.Hour), hour); len(got) != 0 {
		t.Errorf("Hourly of no time: got %v, want none", got)
	}
	if got, want := len(u.Hourly(time.Time{}, hour)), 90*24+1; got != want {
		t.Errorf("Hourly of all times: got %d hours, want %d", got, want)
	}
	u.Counts = append(u.Counts, usage.Count{Hour: hour, Day: true, Code: keys.CodeValid, Calls: 1000})
	if got := u.Hourly(hour, hour); len(got) != 1 || got[0] != 4 || u.Calls() != 1159 {
		t.Errorf("with a count of a day: got %v by the hour and %d in all, want 4 and 1159", got, u.Calls())
	}
	u = usage.Usage{Counts: []usage.Count{count(0, keys.CodeValid, "", math.MaxInt64), count(0, keys.CodeRevoked, "", math.MaxInt64)}}
	if got := u.Calls(); got != math.MaxInt64 {
		t.Errorf("Calls of planted numbers: got %d, want the largest", got)
	}
}

// AgentOf keeps the first word of a User-Agent, and never a piece of a key in it, not even
// one that begins where the word is cut.
func TestAgentOf(t *testing.T) {
	secret := keys.NewToken(keys.KindKey).Secret().Reveal()[18:]
	for agent, want := range map[string]string{
		"":                          "",
		"curl/8.5.0":                "curl/8.5.0",
		"  claude-code/2.1 (cli) x": "claude-code/2.1",
		strings.Repeat("x", 100):    strings.Repeat("x", 64),
		"a\x1b[31mred":              "",
		"b\u202e":                   "",
		"agent:" + secret:           "",
		"internal.batch.jobs.example.org/v1.2.3:" + secret: "",
	} {
		if got := usage.AgentOf(agent); got != want {
			t.Errorf("AgentOf(%q): got %q, want %q", agent, got, want)
		}
	}
}

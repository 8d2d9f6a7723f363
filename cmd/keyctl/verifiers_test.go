package main

import (
	"strings"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/admin/api"
)

func TestVerifiersTable(t *testing.T) {
	at := time.Date(2026, 11, 27, 9, 0, 1, 0, time.Local)
	got := verifiersTable([]api.Verifier{
		{KeyID: "AAAAAAAAAAAA", Instance: "9f86d081", Audience: "weather", Address: "10.0.0.7", LeaseEnds: at, Since: at},
		{KeyID: "AAAAAAAAAAAA", Instance: "9f86d082", Behind: true, LeaseEnds: at, Since: at, Agent: "\x1b[31m"},
	}).text(200)
	lines := strings.Split(got, "\n")
	for i, words := range []string{
		"KEY INSTANCE AUDIENCE ADDRESS APPLIED LEASE SINCE",
		"AAAAAAAAAAAA 9f86d081 weather 10.0.0.7 current 09:00:01",
		"AAAAAAAAAAAA 9f86d082 - - behind 09:00:01",
	} {
		if line := strings.Join(strings.Fields(lines[i]), " "); !strings.HasPrefix(line, words) {
			t.Errorf("line %d: got %q, want %q", i, line, words)
		}
	}
}

package main

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/store"
)

// A change that waited for long names the guards that did not confirm it, ten at the most.
func TestSlowChangeNamesGuards(t *testing.T) {
	guard := store.Guard{Key: "AAAAAAAAAAAA", Instance: "0a1b2c3d", Audience: "weather", Address: "192.0.2.7"}
	unnamed := store.Guard{Key: guard.Key, Instance: "00000000"}
	const note = "note: waited 2.1s until the lease of a guard had ended that did not confirm the\n  change, or of a server that has stopped; `keyctl verifiers` lists the others\n"
	const named = "  did not confirm: weather (192.0.2.7, AAAAAAAAAAAA/0a1b2c3d)\n"
	for _, c := range []struct {
		late []store.Guard
		want string
	}{
		{nil, note},
		{[]store.Guard{guard, unnamed}, note + named + "  did not confirm: a guard without an audience (AAAAAAAAAAAA/00000000)\n"},
		{slices.Repeat([]store.Guard{guard}, 12), note + strings.Repeat(named, 10) + "  and 2 more\n"},
	} {
		e := effect{wait: store.Wait{Waited: 2100 * time.Millisecond, Unheard: 1, Late: c.late}}
		var stderr bytes.Buffer
		a := &app{env: &env{called: "keyctl", stderr: &stderr, now: time.Now}}
		a.noteEffect(&e)
		if got := stderr.String(); got != c.want {
			t.Errorf("%d late: got %q, want %q", len(c.late), got, c.want)
		}
	}
}

package main

import (
	"context"
	"encoding/csv"
	"strconv"
	"strings"

	"github.com/mcpkeys/mcpkeys/internal/connect"
	"github.com/mcpkeys/mcpkeys/internal/scan"
	"github.com/mcpkeys/mcpkeys/internal/wording"
	"github.com/mcpkeys/mcpkeys/keys"
)

// deal prints what was found and, if asked to, revokes it: for people the question
// comes after the table; programs read what became of each.
func (a *app) deal(ctx context.Context, suspects []*suspect, f *scanFlags) error {
	if !f.revoke {
		return a.printSuspects(suspects)
	}
	targets := targetsOf(suspects)
	if a.output == formatTable {
		if err := a.printSuspects(suspects); err != nil {
			return err
		}
	}
	err := a.revokeFound(ctx, targets, f)
	if a.output == formatTable {
		return err
	}
	for _, t := range targets {
		for _, s := range suspects {
			if t.err == nil && s.key != nil && s.key.ID == t.key.ID {
				s.key = t.key
			}
		}
	}
	if printed := a.printSuspects(suspects); err == nil {
		err = printed
	}
	return err
}

// targetsOf names each live key once, also where both of its secrets were found.
func targetsOf(suspects []*suspect) []*target {
	var targets []*target
	seen := map[string]bool{}
	for _, s := range suspects {
		if s.live() && !seen[s.key.ID] {
			seen[s.key.ID] = true
			targets = append(targets, &target{key: s.key})
		}
	}
	return targets
}

func (a *app) revokeFound(ctx context.Context, targets []*target, f *scanFlags) error {
	if len(targets) == 0 {
		return nil
	}
	if !f.yes {
		if err := a.confirm(ctx, targets); err != nil {
			return err
		}
	}
	err := a.withAdmin(ctx, func(m *connect.Admin) error {
		for _, t := range targets {
			t.revoke(ctx, m, f.reason)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if a.output != formatTable {
		return failuresOf(targets)
	}
	return a.reportRevoked(targets)
}

// failuresOf is what could not be revoked, for those who read the rest elsewhere.
func failuresOf(targets []*target) error {
	var failed []failure
	for _, t := range targets {
		if t.err != nil {
			failed = append(failed, failure{t.mention(), outcomeOf(t.err).code, sentence(t.err)})
		}
	}
	if len(failed) > 0 {
		return &partialError{"could not be revoked", failed}
	}
	return nil
}

// foundJSON is one place that holds a key.
type foundJSON struct {
	ID     string    `json:"id"`
	Kind   keys.Kind `json:"kind"`
	Name   string    `json:"name"` // empty when the key store does not know it, like owner
	Owner  string    `json:"owner"`
	Status string    `json:"status"`
	File   string    `json:"file"`   // empty for standard input
	Line   int       `json:"line"`   // 0 for a file's name
	Commit string    `json:"commit"` // empty but for --git
}

func (a *app) foundJSON(s *suspect, place scan.Finding) foundJSON {
	out := foundJSON{ID: s.token.ID(), Kind: s.token.Kind(), Status: a.statusOf(s), File: place.File, Line: place.Line, Commit: place.Commit}
	if s.key != nil {
		out.Name, out.Owner = s.key.Name, s.key.Owner
	}
	return out
}

// statusOf is what the key store says of the key, or why it says nothing.
func (a *app) statusOf(s *suspect) string {
	switch {
	case s.code == "":
		return "unchecked"
	case s.code == keys.CodeNotFound:
		return "unknown"
	case s.key == nil || s.cause != nil:
		return string(keys.CodeUnavailable)
	case s.code == keys.CodeSuperseded:
		return string(s.code)
	case s.code == keys.CodeExpired: // perhaps the secret alone is, after a rotation
		return string(keys.StatusExpired)
	}
	return string(s.key.Status(a.now()))
}

func (a *app) printSuspects(suspects []*suspect) error {
	all := []foundJSON{}
	for _, s := range suspects {
		if s.cause != nil {
			a.say("key %s could not be checked: %s", s.token.ID(), sentence(s.cause))
		}
		for _, place := range s.places {
			all = append(all, a.foundJSON(s, place))
		}
	}
	switch a.output {
	case formatJSON:
		return a.printJSON(all)
	case formatJSONL:
		for _, one := range all {
			if err := a.printJSON(one); err != nil {
				return err
			}
		}
		return nil
	case formatCSV:
		return a.print(foundCSV(all))
	case formatName:
		var b strings.Builder
		for _, s := range suspects {
			b.WriteString(s.token.ID() + "\n")
		}
		return a.print(b.String())
	}
	if len(all) == 0 {
		return nil
	}
	if err := a.print(foundTable(all)); err != nil {
		return err
	}
	a.say("found %s in %s", counted(len(suspects), "key"), counted(len(all), "place"))
	return nil
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return itoa(n) + " " + what + "s"
}

// foundTable has the place last: it is the longest, and is not cut, because it is what
// one opens next.
func foundTable(all []foundJSON) string {
	rows := [][3]string{{"ID", "STATUS", "NAME"}}
	for _, one := range all {
		name := "-"
		if one.Name != "" {
			k := keys.Key{Name: one.Name, Owner: one.Owner}
			name = wording.Clean(k.Label())
		}
		rows = append(rows, [3]string{one.ID, one.Status, name})
	}
	var widths [3]int
	for _, r := range rows {
		for i, text := range r {
			widths[i] = max(widths[i], cells(text))
		}
	}
	var b strings.Builder
	for i, r := range rows {
		for col, text := range r {
			b.WriteString(fit(text, widths[col]) + strings.Repeat(" ", gap))
		}
		if i == 0 {
			b.WriteString("PLACE\n")
			continue
		}
		b.WriteString(all[i-1].place() + "\n")
	}
	return b.String()
}

// place is FILE:LINE, which editors and terminals know how to open.
func (f *foundJSON) place() string {
	text := wording.Clean(f.File)
	switch {
	case f.File == "":
		text = "standard input, line " + strconv.Itoa(f.Line)
	case f.Line == 0:
		text += ", its name"
	default:
		text += ":" + strconv.Itoa(f.Line)
	}
	if f.Commit != "" {
		text += " in commit " + f.Commit
	}
	return text
}

func foundCSV(all []foundJSON) string {
	var b strings.Builder
	w := csv.NewWriter(&b)
	_ = w.Write([]string{"id", "kind", "name", "owner", "status", "file", "line", "commit"})
	for _, f := range all {
		_ = w.Write([]string{f.ID, string(f.Kind), csvCell(f.Name), csvCell(f.Owner), f.Status, csvCell(f.File), itoa(f.Line), f.Commit}) // into memory: cannot fail
	}
	w.Flush()
	return b.String()
}

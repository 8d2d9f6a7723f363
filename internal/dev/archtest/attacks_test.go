package archtest_test

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// attacks are the abuse cases. Each needs a test that names its number: in its function's name
// (TestA13…), in the comment above it, in the name of a case of storetest, or in a comment of a
// script. docs/security-cases.md is generated from them: go test ./internal/dev/archtest -run
// Attack -update.
var attacks = []struct{ number, attack, holds string }{
	{
		"A1", "A request body gives its sender scopes, an owner or a rate that the sender may not give.",
		"The guard judges the caller's key before the body is read. Only an admin key with `keys:write` changes keys, within its own audience and addresses. Unknown members are refused.",
	},
	{
		"A2", "One key is sent in two ways, and one of them forgets a check.",
		"`Authorization` and `X-API-Key`, net/http, gin and MCP ask one function, and get the same decision and the same count.",
	},
	{
		"A3", "A rate limit counts look-ups instead of requests, so that it is used up early or never.",
		"A request counts once, however many guards it passes.",
	},
	{
		"A4", "SQL metacharacters, wildcards, NUL or a megabyte of text stand in an id, a name, an owner or a search.",
		"They are plain text to every query, and refused where a rule limits the text.",
	},
	{
		"A5", "Two keys are equal in all but a few characters, and a cache takes one for the other.",
		"Whole tokens and whole sums are compared.",
	},
	{
		"A6", "An imported hash asks for more work than the server has, or many wrong secrets do.",
		"Cost is bounded at import and at each check. Half of the cores, sixteen waiting checks, and a limit for each address; more is answered 503 or 429.",
	},
	{
		"A7", "An empty key, an empty `Bearer`, a guard without a store.",
		"All are refused. Nothing falls through to \"allowed\".",
	},
	{
		"A8", "The key of an example or a default key opens a server.",
		"A new key store has no key, and the tokens of pages and examples have wrong check digits.",
	},
	{
		"A12", "A caller sends headers that a proxy would set: another address, path, method or host.",
		"Only `X-Forwarded-For` is read, only from a proxy that was named, and only up to the entry that this proxy wrote.",
	},
	{
		"A13", "Two credentials in one request, folded or joined header lines, odd spaces.",
		"A request with anything but exactly one credential is refused.",
	},
	{
		"A14", "A body says two things about the tool that it calls, by repeated or differently cased members.",
		"Such a body is refused, so the guard and the handler cannot read different calls.",
	},
	{
		"A15", "Another spelling of a path, another method or an upgrade reaches a handler past the guard.",
		"Every route has its guard, and what no route fits is 404.",
	},
	{
		"A16", "A web page makes the browser of a person call a server on that person's machine.",
		"The Host header and the origin are checked before the key.",
	},
	{
		"A17", "A request starts after `revoke` has returned, and is accepted.",
		"It is refused, in every process of the machine: by a counter in shared memory, and because no read that began before the revoke is kept.",
	},
	{
		"A18", "A process is stopped, a key is revoked, and the process continues.",
		"It looks before it accepts: what it remembers counts only as long as its lease.",
	},
	{
		"A19", "A process is killed in the middle of a change.",
		"The change is there with its audit row, or neither is. What was acknowledged stays.",
	},
	{
		"A20", "The disk is full, and a leaked key must be revoked.",
		"Checks continue, `issue` fails and changes nothing, and `revoke` uses 8 MiB that are kept for it.",
	},
	{
		"A21", "A change of one key reaches other keys.",
		"Each change touches one key. The store's contract tests compare all others.",
	},
	{
		"A22", "A flood of bad keys, from one address or a million, fills memory, disk or log.",
		"Everything that is remembered, counted and logged of strangers is bounded. IPv6 counts by networks of 64 bits. Checks of valid keys stay fast.",
	},
	{
		"A23", "A secret is in a log, an error, an answer, the database, a crash report or the terminal's history.",
		"A secret has a type that prints `[redacted]`. The key store keeps a digest only. A key in a wrong field is not repeated.",
	},
	{
		"A24", "The clock is set forward or back, or a key expires at the edge of what a clock can say.",
		"Expiry follows the wall clock to the microsecond. Leases and rate limits follow the monotonic clock.",
	},
	{
		"A25", "A key store, or a key, was made by an older version.",
		"It is migrated by the first program that changes it, and its keys stay valid. An older program refuses a newer key store.",
	},
	{
		"A26", "A limited admin key makes, changes or ends a stronger key.",
		"What it issues and edits stays within its own audience and addresses; an admin key that it issues also within its scopes, rate and end. Acting on an admin key takes all of that key's scopes.",
	},
	{
		"A27", "A person who can write SQL, and has no pepper, swaps digests, edits scopes, plants triggers, copies rows of another store, or cuts the audit log.",
		"Each row is sealed under the pepper. The schema and the numbers are compared at every look. The audit log is a chain, and a checkpoint kept elsewhere shows a cut end.",
	},
	{
		"A28", "What is stored holds control sequences, and a terminal obeys them.",
		"Every stored text is cleaned before it is printed, also where a database shell wrote it.",
	},
}

// proofs are the tests of each attack, as the page names them.
func proofs(t *testing.T) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	for name, text := range textFiles(t) {
		if strings.HasPrefix(name, "internal/dev/archtest/") {
			continue
		}
		switch {
		case strings.HasSuffix(name, "_test.go"):
			inTests(t, name, text, out)
		case strings.HasSuffix(name, ".txtar"):
			inScript(name, text, out)
		case strings.HasPrefix(name, "store/storetest/") && strings.HasSuffix(name, ".go"):
			for _, found := range caseOfContract.FindAllStringSubmatch(text, -1) {
				out[found[1]] = append(out[found[1]], fmt.Sprintf("case %q in `store/storetest`", found[2]))
			}
		}
	}
	for number := range out {
		slices.SortFunc(out[number], func(a, b string) int { return cmp.Or(cmp.Compare(where(a), where(b)), cmp.Compare(a, b)) })
		out[number] = slices.Compact(out[number])
	}
	return out
}

// where is the package that a proof is in.
func where(proof string) string {
	_, in, _ := strings.Cut(proof, "` in `")
	return in
}

var (
	inText         = regexp.MustCompile(`\bA([0-9]+)\b`)
	inName         = regexp.MustCompile(`^(?:Test|Fuzz)A([0-9]+)`)
	caseOfContract = regexp.MustCompile(`\{"(A[0-9]+) ([^"]+)", \w+\}`)
)

func inTests(t *testing.T, name, text string, out map[string][]string) {
	file, err := parser.ParseFile(token.NewFileSet(), name, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range file.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok || fn.Recv != nil || !strings.HasPrefix(fn.Name.Name, "Test") && !strings.HasPrefix(fn.Name.Name, "Fuzz") {
			continue
		}
		numbers := inName.FindAllStringSubmatch(fn.Name.Name, -1)
		numbers = append(numbers, inText.FindAllStringSubmatch(fn.Doc.Text(), -1)...)
		for _, n := range numbers {
			out["A"+n[1]] = append(out["A"+n[1]], fmt.Sprintf("`%s` in `%s`", fn.Name.Name, path.Dir(name)))
		}
	}
}

// inScript reads the comments of a script.
func inScript(name, text string, out map[string][]string) {
	for line := range strings.SplitSeq(text, "\n") {
		if !strings.HasPrefix(line, "#") {
			continue
		}
		for _, n := range inText.FindAllStringSubmatch(line, -1) {
			dir, base := path.Split(name)
			out["A"+n[1]] = append(out["A"+n[1]], fmt.Sprintf("`%s` in `%s`", base, path.Clean(dir)))
		}
	}
}

func TestEveryAttackHasATest(t *testing.T) {
	found := proofs(t)
	known := map[string]bool{}
	for _, a := range attacks {
		known[a.number] = true
		if len(found[a.number]) == 0 {
			t.Errorf("no test tells attack %s: %s", a.number, a.attack)
		}
	}
	for number, list := range found {
		if !known[number] {
			t.Errorf("%s is not a number of an attack: %s", number, strings.Join(list, ", "))
		}
	}
}

const (
	attacksPage = "docs/security-cases.md"
	tableBegins = "<!-- made by go test ./internal/dev/archtest -run Attack -update -->\n"
	tableEnds   = "<!-- end -->\n"
)

func TestAttacksPage(t *testing.T) {
	file := filepath.Join(root, attacksPage)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, begins := strings.Cut(string(text), tableBegins)
	_, after, ends := strings.Cut(rest, tableEnds)
	if !begins || !ends {
		t.Fatalf("%s has no lines %q and %q", attacksPage, tableBegins, tableEnds)
	}
	want := before + tableBegins + attacksTable(proofs(t)) + tableEnds + after
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if want == string(text) {
		return
	}
	was, is := strings.Split(string(text), "\n"), strings.Split(want, "\n")
	for _, line := range is {
		if !slices.Contains(was, line) {
			t.Errorf("%s does not have this line; run go test ./internal/dev/archtest -run Attack -update:\n%s", attacksPage, line)
		}
	}
	if !t.Failed() {
		t.Errorf("%s has lines that the tests do not have; run go test ./internal/dev/archtest -run Attack -update", attacksPage)
	}
}

func attacksTable(found map[string][]string) string {
	var b strings.Builder
	b.WriteString("\n| | attack | what holds | tests |\n|---|---|---|---|\n")
	for _, a := range attacks {
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", a.number, a.attack, a.holds, strings.Join(found[a.number], ", "))
	}
	b.WriteString("\n")
	return b.String()
}

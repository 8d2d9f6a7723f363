package readmetest

import (
	"fmt"
	"os"
	"regexp"
	"strings"
)

// varying is what differs from run to run, and what it is compared as.
var varying = []struct {
	what *regexp.Regexp
	as   string
}{
	{regexp.MustCompile(`\bmcp([ka])_[0-9A-Za-z]{12}_([0-9A-Za-z]{36}\b|…|\.\.\.)`), "<token:$1>"},
	{regexp.MustCompile(`\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b`), "<uuid>"},
	{regexp.MustCompile(`\b\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?( ?(Z|UTC|[+-]\d\d:?\d\d)\b)?)?`), "<date>"},
	{regexp.MustCompile(`\b(127\.0\.0\.1|localhost|\[::1\]):\d+\b`), "$1:<port>"},
	{regexp.MustCompile(`\b\d+(\.\d+)?(ns|µs|us|ms|s)\b`), "<duration>"},
	{regexp.MustCompile(`/tmp/[^\s'"]+`), "<tmp>"},
	{regexp.MustCompile(`\b[0-9A-Za-z]{12}\b`), "<id>"}, // and any other word of that length
	{regexp.MustCompile(`[ \t]+`), " "},
}

// Normalise replaces what differs from run to run: tokens, UUIDs, dates, ports of
// this host, durations up to seconds, temporary paths, key ids and the width of
// columns.
func Normalise(text string) string {
	text = strings.ReplaceAll(text, strings.TrimSuffix(os.TempDir(), "/")+"/", "/tmp/")
	for _, v := range varying {
		text = v.what.ReplaceAllString(text, v.as)
	}
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return strings.Trim(strings.Join(lines, "\n"), "\n")
}

// Matches reports whether got is what a page shows as want.
func Matches(got string, want []string) bool {
	var pattern strings.Builder
	pattern.WriteString(`\A`)
	for line := range strings.SplitSeq(Normalise(strings.Join(want, "\n")), "\n") {
		if strings.TrimSpace(line) == "…" {
			pattern.WriteString(`(?:[^\n]*\n)*`)
			continue
		}
		pattern.WriteString(strings.ReplaceAll(regexp.QuoteMeta(line), "…", `[^\n]*`) + `\n`)
	}
	return regexp.MustCompile(pattern.String() + `\z`).MatchString(Normalise(got) + "\n")
}

// Check compares what commands did with what their page says, and returns a
// sentence for each that differs.
func Check(commands []Command, results []Result) []string {
	var faults []string
	for i, r := range results {
		c := commands[i]
		asked := i+1 < len(commands) && commands[i+1].Text == "echo $?"
		switch {
		case r.Status != 0 && !asked:
			faults = append(faults, fmt.Sprintf("line %d: $ %s\nexits %d and prints\n%s", c.Line, c.Text, r.Status, r.Output))
		case !c.Quiet && !Matches(r.Output, c.Want):
			faults = append(faults, fmt.Sprintf("line %d: $ %s\nprints\n%s\nand the page shows\n%s", c.Line, c.Text, r.Output, strings.Join(c.Want, "\n")))
		}
	}
	return faults
}

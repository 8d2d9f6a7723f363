package readmetest

import (
	"regexp"
	"strings"
	"unicode"
)

var link = regexp.MustCompile(`\]\(([^()\s]+)\)`)

// Links returns where the links of a page lead inside the repository, in their order.
func Links(page string) []string {
	var out []string
	for _, found := range link.FindAllStringSubmatch(prose(page), -1) {
		if !strings.Contains(found[1], "://") && !strings.HasPrefix(found[1], "mailto:") {
			out = append(out, found[1])
		}
	}
	return out
}

// Anchors returns the names by which the headings of a page are linked to, as GitHub makes
// them.
func Anchors(page string) []string {
	var out []string
	for line := range strings.SplitSeq(prose(page), "\n") {
		marks := len(line) - len(strings.TrimLeft(line, "#"))
		if marks == 0 || !strings.HasPrefix(line[marks:], " ") {
			continue
		}
		out = append(out, strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
				return unicode.ToLower(r)
			}
			return -1
		}, strings.TrimSpace(line[marks:])))
	}
	return out
}

// prose is a page without its fenced blocks.
func prose(page string) string {
	var out strings.Builder
	fenced := false
	for line := range strings.SplitSeq(page, "\n") {
		if strings.HasPrefix(strings.TrimLeft(line, " "), "```") {
			fenced = !fenced
			continue
		}
		if !fenced {
			out.WriteString(line + "\n")
		}
	}
	return out.String()
}

package keys

import (
	"slices"
	"strings"

	"github.com/mcpkeys/mcpkeys/keys/internal/shape"
)

// maxScope is the length of one granted scope, in bytes.
const maxScope = 1024

// Scopes is a compiled set of granted scopes. The zero value and nil grant nothing.
// It is immutable and safe for concurrent use.
type Scopes struct {
	granted  []string
	few      []string            // the literal ones, up to fewScopes
	literals map[string]struct{} // all of them when there are more
	patterns []pattern
}

// fewScopes is how many texts can be compared in the time that hashing one takes.
const fewScopes = 8

// pattern is one granted scope with a wildcard.
type pattern struct {
	segments []string // each may contain '*'
	tail     bool     // the last segment was '*' alone and is not in segments: it matches one or more segments
	prefix   string   // the pattern without its star, if its only star is the last character; else empty
}

// CompileScopes checks and compiles granted scopes.
//
// A scope is one RFC 6749 scope-token without commas: printable ASCII except space, ", \ and
// the comma, which separates scopes in a list. Colons divide a scope into segments; none is
// empty. In a granted scope * inside a segment matches any run without a colon, and * as the
// whole last segment matches one or more segments. There is no other hierarchy: tools:get
// grants only tools:get.
//
//	tools:get_forecast   tools:get_forecast
//	tools:get_*          tools:get_forecast, not tools:set_x
//	tools:*              tools:a and tools:a:b, not tools
//	*                    everything
//
// The error is an [*InvalidError].
func CompileScopes(granted []string) (*Scopes, error) {
	s := &Scopes{granted: slices.Clone(granted)}
	for _, g := range granted {
		if err := validateScope(g); err != nil {
			return nil, err
		}
		if !strings.Contains(g, "*") {
			s.few = append(s.few, g)
			continue
		}
		s.patterns = append(s.patterns, compilePattern(g))
	}
	if len(s.few) > fewScopes {
		s.literals = map[string]struct{}{}
		for _, g := range s.few {
			s.literals[g] = struct{}{}
		}
		s.few = nil
	}
	return s, nil
}

func compilePattern(granted string) pattern {
	p := pattern{segments: strings.Split(granted, ":")}
	if last := len(p.segments) - 1; p.segments[last] == "*" {
		p.segments, p.tail = p.segments[:last], true
	}
	if star := len(granted) - 1; strings.IndexByte(granted, '*') == star {
		p.prefix = granted[:star]
	}
	return p
}

func validateScope(s string) error {
	switch {
	case s == "":
		return Invalid("scopes", "must not be empty")
	case len(s) > maxScope:
		return Invalid("scopes", "must be at most %d characters each", maxScope)
	case !scopeChars(s):
		return Invalid("scopes", `must be printable ASCII without spaces, quotes and backslashes; percent-encode other characters of a tool's name`)
	case strings.Contains(s, ","):
		return Invalid("scopes", "must not contain a comma: give each scope separately; write a comma in the name of a tool or a resource as %%2C")
	case emptySegment(s):
		return Invalid("scopes", "must not begin or end with a colon, or have two colons in a row")
	case HoldsToken(s) || !strings.Contains(s, ":") && LooksLikeToken(s):
		return Invalid("scopes", shape.Reason) // with a colon it may name a tool or a document whose name is as long as a secret
	}
	return nil
}

// ValidateRequired holds the rule for a scope that a server requires: a literal
// one, without wildcards. Guards call it when they are built, so that a typing error
// stops the program at its start.
func ValidateRequired(required string) error {
	if strings.Contains(required, "*") {
		return Invalid("scopes", "must not contain *: a server requires exact scopes")
	}
	return validateScope(required)
}

func scopeChars(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < 0x21 || c > 0x7e || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

func emptySegment(s string) bool {
	return s == "" || s[0] == ':' || s[len(s)-1] == ':' || strings.Contains(s, "::")
}

// Granted returns the scopes as they were granted.
func (s *Scopes) Granted() []string {
	if s == nil {
		return nil
	}
	return slices.Clone(s.granted)
}

// Allows reports whether the set grants required, which is literal. Nothing grants a
// malformed scope, not even *.
func (s *Scopes) Allows(required string) bool {
	if s == nil {
		return false
	}
	if _, ok := s.literals[required]; ok || slices.Contains(s.few, required) {
		return true
	}
	for i := range s.patterns {
		if s.patterns[i].grants(required) {
			return true
		}
	}
	return false
}

// isLiteral is ValidateRequired without the length, in one pass, because every tool call
// needs it.
func isLiteral(s string) bool {
	last := byte(':')
	for i := range len(s) {
		c := s[i]
		if unfit(c) || c == ':' && last == ':' {
			return false
		}
		last = c
	}
	return last != ':'
}

// unfit: a required scope cannot contain this character.
func unfit(c byte) bool { return c < 0x21 || c > 0x7e || c == '"' || c == '\\' || c == '*' }

// grants compares segment by segment. A scope that begins with a pattern's prefix needs no
// further check, because the pattern was checked.
func (p *pattern) grants(required string) bool {
	if p.prefix == "" {
		return isLiteral(required) && p.matchesSegments(required)
	}
	rest, ok := strings.CutPrefix(required, p.prefix)
	if !ok || p.tail {
		return ok && isLiteral(required)
	}
	for i := range len(rest) {
		if c := rest[i]; unfit(c) || c == ':' {
			return false
		}
	}
	return true
}

func (p *pattern) matchesSegments(required string) bool {
	rest, more := required, true
	for _, want := range p.segments {
		if !more {
			return false
		}
		var have string
		have, rest, more = strings.Cut(rest, ":")
		if !globMatch(want, have) {
			return false
		}
	}
	return more == p.tail
}

// globMatch reports whether text fits glob, in which * stands for any run, also an
// empty one. It remembers only the last star, which is enough because each star
// may take whatever an earlier one could have: time is at most the product of the
// lengths, and there is no recursion to exhaust.
func globMatch(glob, text string) bool {
	g, t := 0, 0
	star, mark := -1, 0
	for t < len(text) {
		switch {
		case g < len(glob) && glob[g] == '*':
			star, mark = g, t
			g++
		case g < len(glob) && glob[g] == text[t]:
			g++
			t++
		case star >= 0:
			mark++
			g, t = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(glob[g:], "*") == ""
}

package mutants

import (
	_ "embed"
	"errors"
	"fmt"
	"strings"
)

//go:embed mutants.txt
var text string

// Mutant is one break of a rule.
type Mutant struct {
	Name   string   // what is broken, in words
	File   string   // relative to the root of the tree, with slashes
	Before string   // the text that is replaced; it occurs once in File
	After  string   // what replaces it
	Tests  []string // arguments of go test: packages, and -run with a pattern
}

// List returns the mutants of mutants.txt, in its order.
func List() ([]Mutant, error) { return parse(text) }

// parse reads blocks of "field: value" lines with empty lines between them. Lines that
// begin with # are comments.
func parse(text string) ([]Mutant, error) {
	var list []Mutant
	for block := range strings.SplitSeq(text, "\n\n") {
		var m Mutant
		for line := range strings.Lines(block) {
			line = strings.TrimSuffix(line, "\n")
			if line == "" || strings.HasPrefix(line, "#") {
				continue
			}
			if err := m.set(line); err != nil {
				return nil, err
			}
		}
		if m.Name == "" && m.File == "" {
			continue // comments only
		}
		if err := m.check(); err != nil {
			return nil, err
		}
		list = append(list, m)
	}
	return list, nil
}

func (m *Mutant) set(line string) error {
	field, value, ok := strings.Cut(line, ": ")
	if !ok {
		return fmt.Errorf("mutants.txt: %q is not a field and its value", line)
	}
	switch field {
	case "name":
		m.Name = value
	case "file":
		m.File = value
	case "before":
		m.Before = value
	case "after":
		m.After = value
	case "test":
		m.Tests = strings.Fields(value)
	default:
		return fmt.Errorf("mutants.txt: unknown field %q", field)
	}
	return nil
}

func (m *Mutant) check() error {
	switch {
	case m.Name == "" || m.File == "" || m.Before == "" || len(m.Tests) == 0:
		return fmt.Errorf("mutants.txt: %q lacks a field", m.Name+m.File)
	case m.Before == m.After:
		return fmt.Errorf("mutants.txt: %q changes nothing", m.Name)
	}
	return nil
}

// apply returns the file's text with the break in it.
func (m *Mutant) apply(source string) (string, error) {
	switch strings.Count(source, m.Before) {
	case 0:
		return "", errors.New("the text to replace is not in " + m.File)
	case 1:
		return strings.Replace(source, m.Before, m.After, 1), nil
	}
	return "", errors.New("the text to replace occurs more than once in " + m.File)
}

// Sample returns n of list, other ones for each turn, so that enough turns in a row cover the
// list.
func Sample(list []Mutant, n, turn int) []Mutant {
	n = min(n, len(list))
	out := make([]Mutant, 0, n)
	for i := range n {
		out = append(out, list[(turn*n+i)%len(list)])
	}
	return out
}

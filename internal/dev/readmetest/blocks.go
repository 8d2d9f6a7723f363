package readmetest

import (
	"fmt"
	"strings"
)

// Block is one fenced block of a Markdown page.
type Block struct {
	Line  int    // of the opening fence, from 1
	Lang  string // the first word behind the fence
	Lines []string
}

// Blocks returns the fenced blocks of a page in their order. A block inside a list
// loses the indentation of its fence.
func Blocks(page string) []Block {
	var out []Block
	var open *Block
	var indent string
	for i, line := range strings.Split(page, "\n") {
		text := strings.TrimLeft(line, " ")
		switch {
		case open == nil && strings.HasPrefix(text, "```"):
			indent = line[:len(line)-len(text)]
			open = &Block{Line: i + 1}
			if info := strings.Fields(strings.Trim(text, "`")); len(info) > 0 {
				open.Lang = info[0]
			}
		case open != nil && strings.TrimRight(text, " ") == "```":
			out = append(out, *open)
			open = nil
		case open != nil:
			open.Lines = append(open.Lines, strings.TrimPrefix(line, indent))
		}
	}
	return out
}

// Command is one command of a page and what the page says of it.
type Command struct {
	Line  int
	Text  string
	Want  []string // the lines that it prints
	Quiet bool     // from an sh block: its output is not compared
}

// Commands returns what a block tells the reader to type; nothing when it is no
// console or sh block.
func (b Block) Commands() ([]Command, error) {
	if b.Lang != "console" && b.Lang != "sh" {
		return nil, nil
	}
	var out []Command
	continued, end := false, ""
	for i, line := range b.Lines {
		at := b.Line + 1 + i
		text, typed := strings.CutPrefix(line, "$ ")
		switch {
		case end != "":
			out[len(out)-1].Text += "\n" + line
			if line == end {
				end = ""
			}
		case continued:
			last := &out[len(out)-1]
			last.Text += "\n" + strings.TrimPrefix(line, "> ")
			continued = strings.HasSuffix(line, `\`)
		case b.Lang == "sh" && typed:
			return nil, fmt.Errorf("line %d: an sh block has no prompts; call it console", at)
		case b.Lang == "sh" && (line == "" || strings.HasPrefix(line, "#")):
		case b.Lang == "sh", typed:
			out = append(out, Command{Line: at, Text: text, Quiet: b.Lang == "sh"})
			continued = strings.HasSuffix(line, `\`)
			if _, word, file := strings.Cut(text, " <<'"); file && b.Lang == "sh" {
				end = strings.TrimSuffix(word, "'")
			}
		case len(out) == 0 && line == "":
		case len(out) == 0:
			return nil, fmt.Errorf("line %d: output before the first command", at)
		default:
			out[len(out)-1].Want = append(out[len(out)-1].Want, line)
		}
	}
	return out, nil
}

// elsewhere are the beginnings of commands that bring the reader to where the copy
// already is.
var elsewhere = []string{"git clone ", "cd mcpkeys", "go get github.com/mcpkeys/mcpkeys", "go install github.com/mcpkeys/mcpkeys", "go install ./cmd/keyctl"}

// Here reports whether the command is to be run with the page.
func (c Command) Here() bool {
	for _, start := range elsewhere {
		if strings.HasPrefix(c.Text, start) {
			return false
		}
	}
	return c.Make() == "" || len(c.Want) > 0
}

// Make returns what the command asks make for, or nothing.
func (c Command) Make() string {
	target, _ := strings.CutPrefix(c.Text, "make ")
	if target == c.Text {
		return ""
	}
	return strings.TrimSpace(target)
}

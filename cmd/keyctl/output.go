package main

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"syscall"
	"unicode"
	"unicode/utf16"

	"github.com/spf13/cobra"

	"github.com/mcpkeys/mcpkeys/internal/app/wording"
)

// format is a way to print a result.
type format string

const (
	formatTable format = "table" // for people
	formatJSON  format = "json"
	formatJSONL format = "jsonl" // one object a line
	formatCSV   format = "csv"
	formatName  format = "name" // ids only, one a line, to feed to other commands
)

// formats declares the formats that a command can print; table is the default.
func formats(cmd *cobra.Command, can ...format) {
	words := make([]string, len(can))
	for i, f := range can {
		words[i] = string(f)
	}
	cmd.Annotations = map[string]string{formatsAnnotation: strings.Join(words, " ")}
}

const formatsAnnotation = "formats"

// checkFormat refuses a format that cmd cannot print.
func (a *app) checkFormat(cmd *cobra.Command) error {
	can := strings.Fields(cmd.Annotations[formatsAnnotation])
	if !cmd.Flags().Changed("output") || slices.Contains(can, string(a.output)) {
		return nil
	}
	_, name, _ := strings.Cut(cmd.CommandPath(), " ") // pepper list is not list
	if len(can) == 0 {
		return usagef("%s has only one output format; leave -o out", name)
	}
	return usagef("%s takes -o %s", name, strings.Join(can, " or "))
}

// String, Set and Type make format a flag. Set accepts any text: checkFormat refuses it
// later, without repeating it.
func (f *format) String() string { return string(*f) }

// Set implements pflag.Value.
func (f *format) Set(text string) error { *f = format(text); return nil }

// Type implements pflag.Value.
func (f *format) Type() string { return "format" }

// print writes a result to standard output.
func (a *app) print(text string) error {
	_, err := io.WriteString(a.stdout, text)
	return unwritten(err)
}

func unwritten(err error) error {
	if err == nil {
		return nil
	}
	return &outputError{err}
}

// outputError says that standard output cannot be written.
type outputError struct{ err error }

func (e *outputError) Error() string { return "standard output cannot be written: " + e.err.Error() }
func (e *outputError) Unwrap() error { return e.err }

// closedByReader reports whether the reader of standard output has closed its pipe, as head does. A
// server can also break a connection with EPIPE; that is another error.
func closedByReader(err error) bool {
	var output *outputError
	return errors.As(err, &output) && errors.Is(output.err, syscall.EPIPE)
}

// printJSON writes v as one indented value, or as one line for jsonl.
func (a *app) printJSON(v any) error {
	text, err := a.json(v, "")
	if err != nil {
		return err
	}
	return a.print(text)
}

// json renders v as -o json or -o jsonl has it. The lines after the first begin with prefix.
func (a *app) json(v any, prefix string) (string, error) {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if a.output == formatJSON {
		enc.SetIndent(prefix, "  ")
	}
	if err := enc.Encode(v); err != nil {
		return "", fmt.Errorf("render the result: %w", err)
	}
	return escaped(b.String()), nil
}

// printAll writes a list as -o json or -o jsonl has it.
func printAll[T any](a *app, all []T) error {
	l := newJSONList(a, a.stdout)
	for _, one := range all {
		if err := l.add(one); err != nil {
			return err
		}
	}
	return l.end()
}

// jsonList writes a list as -o json or -o jsonl has it, value by value: a list may be longer
// than memory. What it holds back goes out with flush and end.
type jsonList struct {
	app *app
	out *bufio.Writer
	n   int
}

func newJSONList(a *app, w io.Writer) *jsonList { return &jsonList{app: a, out: bufio.NewWriter(w)} }

func (l *jsonList) add(v any) error {
	if l.app.output == formatJSONL {
		text, err := l.app.json(v, "")
		return errors.Join(err, l.write(text))
	}
	text, err := l.app.json(v, "  ")
	if err != nil {
		return err
	}
	before := ",\n  "
	if l.n == 0 {
		before = "[\n  "
	}
	l.n++
	return l.write(before + strings.TrimSuffix(text, "\n"))
}

func (l *jsonList) end() error {
	if l.app.output == formatJSON {
		after := "\n]\n"
		if l.n == 0 {
			after = "[]\n"
		}
		if err := l.write(after); err != nil {
			return err
		}
	}
	return l.flush()
}

func (l *jsonList) write(text string) error {
	_, err := l.out.WriteString(text)
	return unwritten(err)
}

func (l *jsonList) flush() error { return unwritten(l.out.Flush()) }

// incomplete explains err to a reader of what was printed so far, which is the first n of
// things. A reader that has closed its pipe has all that it wants, so that is not an error.
func incomplete(err error, n int, thing, things string) error {
	switch {
	case err == nil || closedByReader(err):
		return nil
	case n == 0:
		return err
	}
	return fmt.Errorf("the output is incomplete, it ends after %s: %w", wording.Counted(n, thing, things), err)
}

// csvText renders rows as CSV, without control characters and formulas: CSV is opened in
// terminals and spreadsheets, and has no way to escape them as JSON has.
func csvText(rows ...[]string) string {
	var b strings.Builder
	w := csv.NewWriter(&b)
	for _, row := range rows {
		shown := make([]string, len(row))
		for i, cell := range row {
			shown[i] = wording.Clean(noFormula(cell))
		}
		_ = w.Write(shown) // into memory: cannot fail
	}
	w.Flush()
	return b.String()
}

// noFormula puts an apostrophe before a cell that a spreadsheet would run.
func noFormula(cell string) string {
	if wording.Formula(cell) {
		return "'" + cell
	}
	return cell
}

// escaped replaces characters that a terminal might act on, such as controls above ASCII and
// bidirectional marks, by \u escapes. They occur inside strings only: the rest of JSON is
// plain ASCII.
func escaped(text string) string {
	if strings.IndexFunc(text, wouldObey) < 0 {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		if !wouldObey(r) {
			b.WriteRune(r)
			continue
		}
		for _, unit := range utf16.AppendRune(nil, r) {
			fmt.Fprintf(&b, `\u%04x`, unit)
		}
	}
	return b.String()
}

func wouldObey(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }

// Colour only repeats what the text says.

func (e *env) bold(stream io.Writer, text string) string   { return e.paint(stream, "1", text) }
func (e *env) yellow(stream io.Writer, text string) string { return e.paint(stream, "33", text) }

func (e *env) paint(stream io.Writer, code, text string) string {
	if !e.colourful(stream) {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

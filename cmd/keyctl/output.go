package main

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
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
	if _, err := fmt.Fprint(a.stdout, text); err != nil {
		return fmt.Errorf("standard output cannot be written: %w", err)
	}
	return nil
}

// printJSON writes v as one indented value, or as one line for jsonl.
func (a *app) printJSON(v any) error {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if a.output == formatJSON {
		enc.SetIndent("", "  ")
	}
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("render the result: %w", err)
	}
	return a.print(escaped(b.String()))
}

// printAll writes a list as -o json or -o jsonl has it.
func printAll[T any](a *app, all []T) error {
	if a.output == formatJSON {
		return a.printJSON(append([]T{}, all...)) // an empty list is [], never null
	}
	for _, one := range all {
		if err := a.printJSON(one); err != nil {
			return err
		}
	}
	return nil
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

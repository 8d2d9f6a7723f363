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

// formats declares what a command can print; table is what it prints unasked.
func formats(cmd *cobra.Command, can ...format) {
	words := make([]string, len(can))
	for i, f := range can {
		words[i] = string(f)
	}
	cmd.Annotations = map[string]string{formatsAnnotation: strings.Join(words, " ")}
}

const formatsAnnotation = "formats"

// checkFormat refuses an output that cmd does not have.
func (a *app) checkFormat(cmd *cobra.Command) error {
	can := strings.Fields(cmd.Annotations[formatsAnnotation])
	if !cmd.Flags().Changed("output") || slices.Contains(can, string(a.output)) {
		return nil
	}
	_, name, _ := strings.Cut(cmd.CommandPath(), " ") // pepper list is not list
	if len(can) == 0 {
		return usagef("%s prints one way only: leave -o out", name)
	}
	return usagef("%s prints -o %s", name, strings.Join(can, " or "))
}

// String, Set and Type make format a flag. Set takes anything: only the command
// knows what it can print, and its error repeats nothing.
func (f *format) String() string { return string(*f) }

// Set implements pflag.Value.
func (f *format) Set(text string) error { *f = format(text); return nil }

// Type implements pflag.Value.
func (f *format) Type() string { return "format" }

// print writes a result to standard output. Losing it is an error.
func (a *app) print(text string) error {
	if _, err := fmt.Fprint(a.stdout, text); err != nil {
		return fmt.Errorf("write the result: %w", err)
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
		return a.printJSON(append([]T{}, all...)) // none is [], never null
	}
	for _, one := range all {
		if err := a.printJSON(one); err != nil {
			return err
		}
	}
	return nil
}

// csvText renders rows as CSV shows them. CSV reaches terminals and spreadsheets too, and
// unlike JSON it has no way to write what those would obey.
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

// escaped writes what a terminal might obey, such as the controls above ASCII and the
// characters that turn the reading direction, in the other way that JSON has for it.
// They stand inside of strings only: whatever else JSON has is plain ASCII.
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

// Colour says nothing that the words beside it do not say too.

func (e *env) bold(stream io.Writer, text string) string   { return e.paint(stream, "1", text) }
func (e *env) yellow(stream io.Writer, text string) string { return e.paint(stream, "33", text) }

func (e *env) paint(stream io.Writer, code, text string) string {
	if !e.colourful(stream) {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

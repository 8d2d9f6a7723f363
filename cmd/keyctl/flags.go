package main

import (
	"errors"
	"strings"

	"github.com/spf13/pflag"

	"github.com/mcpkeys/mcpkeys/keys"
)

// refuseTokens checks the raw arguments before they are parsed, so that no error of the
// parser repeats a secret that was typed. A secret without its id is left to the rules of
// each argument: a path may look like one.
func refuseTokens(args []string) error {
	for _, arg := range args {
		if keys.HoldsToken(arg) {
			return usagef("a key must never be typed as an argument: it is now in your shell history and was in the process list; if it was a real one, revoke it")
		}
	}
	return nil
}

// wantsJSON reads the output flag off the raw arguments, for errors that happen
// before or while the flags are parsed.
func wantsJSON(args []string) bool {
	for i, arg := range args {
		value := ""
		switch {
		case arg == "--":
			return false
		case (arg == "-o" || arg == "--output") && i+1 < len(args):
			value = args[i+1]
		case strings.HasPrefix(arg, "--output="):
			value = strings.TrimPrefix(arg, "--output=")
		case strings.HasPrefix(arg, "-o"):
			value = strings.TrimPrefix(strings.TrimPrefix(arg, "-o"), "=")
		}
		if value == string(formatJSON) || value == string(formatJSONL) {
			return true
		}
	}
	return false
}

// mention is how an error names argument number n, counted from 1: as it was typed if it is
// plainly a name, else by its place, because it may be a piece of a secret.
func mention(typed string, n int) string {
	if plainWord(typed) {
		return `"` + typed + `"`
	}
	return "argument " + itoa(n)
}

// plainWord reports whether text is short, printable and not like a secret, whole or cut.
func plainWord(text string) bool {
	lower := strings.ToLower(text)
	if text == "" || len(text) > 64 || strings.Contains(lower, "mcpk") || strings.Contains(lower, "mcpa_") {
		return false
	}
	return keys.ValidateText("argument", text) == nil && longestRun(text) <= keys.IDLen
}

// longestRun is the length of the longest run of letters, digits and _, which secrets
// consist of.
func longestRun(text string) int {
	longest, n := 0, 0
	for _, r := range text {
		if r != '_' && (r < '0' || r > '9') && (r|0x20 < 'a' || r|0x20 > 'z') {
			n = 0
			continue
		}
		n++
		longest = max(longest, n)
	}
	return longest
}

// listValue is a flag that holds several texts: repeated, or separated by commas. An empty
// text is refused: it may come from an unset variable of a script.
type listValue struct{ list *[]string }

// listVar declares such a flag.
func listVar(flags *pflag.FlagSet, list *[]string, name, usage string) {
	flags.Var(listValue{list}, name, usage+"; repeat it or use commas")
}

// String implements pflag.Value.
func (v listValue) String() string {
	if v.list == nil { // pflag asks a zero value for its default
		return ""
	}
	return strings.Join(*v.list, ",")
}

// Set implements pflag.Value.
func (v listValue) Set(text string) error {
	for one := range strings.SplitSeq(text, ",") {
		one = strings.TrimSpace(one)
		if one == "" {
			return errors.New("empty")
		}
		*v.list = append(*v.list, one)
	}
	return nil
}

// Type implements pflag.Value.
func (listValue) Type() string { return "list" }

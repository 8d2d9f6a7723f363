package main

import (
	"errors"
	"strings"

	"github.com/spf13/pflag"
)

// listValue is a flag that holds several texts: repeated, or with commas between them.
// No text in it is empty: an empty one is what a script's unset variable looks like.
type listValue struct{ list *[]string }

// listVar declares such a flag.
func listVar(flags *pflag.FlagSet, list *[]string, name, usage string) {
	flags.Var(listValue{list}, name, usage+"; repeatable, or with commas between")
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

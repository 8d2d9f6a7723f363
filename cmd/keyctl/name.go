package main

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// The names that the program goes by; the second is for machines where the kernel's
// keyutils has the first.
const (
	nameFirst  = "keyctl"
	nameSecond = "mcpkeys"
)

// name is what the program was called by, if it is one of its names.
func (e *env) name() string {
	if strings.TrimSuffix(filepath.Base(e.called), ".exe") == nameSecond {
		return nameSecond
	}
	return nameFirst
}

// elsewhere are the commands that have no key store, or not the one at hand.
var elsewhere = []string{"help", "completion", "version", "demo", "serve"}

// verbs are the names of all commands.
func verbs() []string {
	names := []string{"help"}
	for _, c := range newRoot(&app{env: &env{}}).Commands() {
		names = append(names, append(c.Aliases, c.Name())...)
	}
	return names
}

// renamed puts the name that the program was called by into what text says to type: the
// name before a command, a flag, a placeholder or the end of the code. It touches no path
// and nothing else that only holds the name.
func (e *env) renamed(text string) string {
	if e.name() == nameFirst {
		return text
	}
	typed := regexp.MustCompile("(^|[\\s`'(])keyctl( (?:" + strings.Join(verbs(), "|") + ")\\b| --?[a-z]| [A-Z]|'s|`|\\n)")
	return typed.ReplaceAllString(text, "${1}"+e.name()+"${2}")
}

// hinted does the same for an error or a finding, whose commands must act on the key
// store that it is about: with the flags that named it.
func (a *app) hinted(text string) string {
	here := slices.DeleteFunc(verbs(), func(verb string) bool { return slices.Contains(elsewhere, verb) })
	typed := regexp.MustCompile("(^|[\\s`'(])keyctl (" + strings.Join(here, "|") + ")\\b")
	text = typed.ReplaceAllStringFunc(text, func(hint string) string {
		return strings.Replace(hint, nameFirst, a.command(), 1)
	})
	return a.renamed(text)
}

package main

import (
	"path/filepath"
	"regexp"
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

// commandLine finds where our own words tell what to type: the name before a command, a
// flag or the end of the code. It touches no path and nothing else that only holds it.
var commandLine = regexp.MustCompile("(^|[\\s`'(])keyctl( --?[a-z]| [A-Z]| help| issue| list| show| revoke| verify| scan| backup| restore| doctor| pepper| audit| import| export| tui| init| serve| demo| completion| version|`)")

// renamed puts the name that the program was called by into what text says to type.
func (e *env) renamed(text string) string {
	if e.name() == nameFirst {
		return text
	}
	return commandLine.ReplaceAllString(text, "${1}"+e.name()+"${2}")
}

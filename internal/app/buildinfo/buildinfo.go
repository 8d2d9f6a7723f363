// Package buildinfo says which build this is, from what the go command writes into
// every binary: the module's version, the commit, and whether the tree had changes
// of its own.
//
// It keeps no version number in source: that would be wrong on every commit but
// one. Start with [Read]; [Info.Line] is what a version command prints.
package buildinfo

import (
	"runtime/debug"
	"strings"
)

// override replaces the module's version where a packager builds from a plain
// archive, without commits and without tags:
//
//	go build -ldflags "-X github.com/mcpkeys/mcpkeys/internal/app/buildinfo.override=v1.2.3"
//
// Only the linker writes it.
var override string

// Info is one build. The zero value is a build of which nothing is known.
type Info struct {
	Version  string // "v0.1.0", a pseudo-version, or empty
	Revision string // the whole commit, or empty
	Modified bool   // the tree had changes that are in no commit
	Go       string // "go1.26.8"
}

// Read describes the running program.
func Read() Info {
	b, ok := debug.ReadBuildInfo()
	if !ok {
		return Info{Version: override}
	}
	return From(b, override)
}

// From describes a program by what was read from it. A version that is not empty
// goes before the one in b.
func From(b *debug.BuildInfo, version string) Info {
	i := Info{Version: version, Go: b.GoVersion}
	if i.Version == "" && b.Main.Version != "(devel)" {
		i.Version = b.Main.Version
	}
	for _, s := range b.Settings {
		switch s.Key {
		case "vcs.revision":
			i.Revision = s.Value
		case "vcs.modified":
			i.Modified = s.Value == "true"
		}
	}
	return i
}

// shortRevision is how many digits of a commit people quote.
const shortRevision = 7

// Line renders i for a version command, with whatever else the program wants said:
//
//	keyctl v0.1.0 (abc1234, go1.26.8, sqlite 3.54.1)
func (i Info) Line(program string, more ...string) string {
	version := i.Version
	if version == "" {
		version = "devel"
	}
	var parts []string
	if r := i.Revision; r != "" {
		r = r[:min(shortRevision, len(r))]
		if i.Modified {
			r += " with changes"
		}
		parts = append(parts, r)
	}
	if i.Go != "" {
		parts = append(parts, i.Go)
	}
	line := program + " " + version
	if parts = append(parts, more...); len(parts) > 0 {
		line += " (" + strings.Join(parts, ", ") + ")"
	}
	return line
}

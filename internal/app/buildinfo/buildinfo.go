// Package buildinfo says which build of the program runs, from what the go command writes into
// every binary: the module's version, the commit, and whether the tree was modified.
//
// Start with [Read]; [Info.Line] is what a version command prints. There is no version number
// in the source, because it would be wrong on every commit but one.
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

// Info describes a build. The zero value says nothing about it.
type Info struct {
	Version  string // "v0.1.0", a pseudo-version, or empty
	Revision string // the whole commit, or empty
	Modified bool   // the tree had uncommitted changes
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

// From describes the program that b was read from. A version that is not empty replaces the
// one in b.
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

// shortRevision is how many digits of a commit are shown.
const shortRevision = 7

// Line renders i for a version command, with further parts:
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

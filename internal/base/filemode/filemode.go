// Package filemode says whether users that should not may open a file of the key store.
//
// A file is its owner's alone (0600). Where [Variable] is 1, the group may be let in too,
// if the process is in it: platforms that give volumes to a group (fsGroup) set group bits
// again at each start, and no chmod lasts there.
//
// Call [Open] for one file, and [Refuse] to refuse several in one sentence. [Other] says
// what stands at a path that is no file. The package changes no mode.
package filemode

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/mcpkeys/mcpkeys/internal/base/shell"
)

// Variable is the environment variable that lets a group of the process open the files.
const Variable = "MCPKEYS_ALLOW_GROUP"

const (
	groupBits = 0o070
	otherBits = 0o007
)

// Open reports whether other users than should be may open the file.
func Open(info fs.FileInfo) bool {
	bits := info.Mode().Perm()
	if bits&otherBits != 0 {
		return true
	}
	return bits&groupBits != 0 && (os.Getenv(Variable) != "1" || !ownGroup(info))
}

// Other says what stands at path if that is no regular file: a symbolic link, say, whatever
// it leads to. It is empty for a file and where nothing is.
func Other(path string) string {
	info, err := os.Lstat(path)
	if err != nil {
		return ""
	}
	switch mode := info.Mode(); {
	case mode.IsRegular():
		return ""
	case mode&fs.ModeSymlink != 0:
		return "a symbolic link"
	case mode.IsDir():
		return "a directory"
	case mode&fs.ModeNamedPipe != 0:
		return "a named pipe"
	case mode&fs.ModeSocket != 0:
		return "a socket"
	}
	return "a device"
}

// Loose are those of paths that are there and that other users may open.
func Loose(paths ...string) []string {
	return slices.DeleteFunc(slices.Clone(paths), func(path string) bool {
		info, err := os.Stat(path)
		return err != nil || !Open(info)
	})
}

// Refuse returns an error that names those of paths that other users may open, all of
// them; nil if there are none.
func Refuse(paths ...string) error {
	loose := Loose(paths...)
	if len(loose) == 0 {
		return nil
	}
	return fmt.Errorf("other users may open %s: %s", Describe(loose), Fix(loose))
}

// Describe names files and their modes; of a symbolic link what it leads to, because that is
// whose mode counts and is changed.
func Describe(paths []string) string {
	var list []string
	for _, path := range paths {
		if info, err := os.Stat(path); err == nil {
			leads := ""
			if target, err := filepath.EvalSymlinks(path); err == nil && Other(path) != "" {
				leads = "a symbolic link to " + target + ", "
			}
			list = append(list, fmt.Sprintf("%s (%smode %04o)", path, leads, info.Mode().Perm()))
		}
	}
	return strings.Join(list, ", ")
}

// Fix says what closes files to other users, as far as they must be.
func Fix(paths []string) string {
	quoted := make([]string, len(paths))
	for i, path := range paths {
		quoted[i] = shell.Quote(path)
	}
	mode := "600"
	if os.Getenv(Variable) == "1" {
		mode = "o="
		for _, path := range paths {
			if info, err := os.Stat(path); err == nil && info.Mode().Perm()&otherBits == 0 {
				mode = "600" // its group is none of this process
			}
		}
	}
	return "run 'chmod " + mode + " " + strings.Join(quoted, " ") + "'" + orAllow(paths)
}

// orAllow names the other way, where it would do: only a group that is ours is let in.
func orAllow(paths []string) string {
	if os.Getenv(Variable) == "1" {
		return ""
	}
	for _, path := range paths {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm()&otherBits != 0 || !ownGroup(info) {
			return ""
		}
	}
	return ", or say --allow-group or " + Variable + "=1 where the platform sets group bits (fsGroup)"
}

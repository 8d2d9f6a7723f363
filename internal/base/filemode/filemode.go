// Package filemode checks whether other users may open a file of the key store.
//
// A file must be readable by its owner only (0600). If [Variable] is 1, the file's group may
// have access too, if the process is a member of it: platforms that give volumes to a group
// (fsGroup) set group bits again at each start, so a chmod does not last.
//
// Call [Open] for one file, or [Refuse] to refuse several in one sentence. [Other] says what is
// at a path if it is not a file. The package does not change modes.
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

// Open reports whether users who should not may open the file.
func Open(info fs.FileInfo) bool {
	bits := info.Mode().Perm()
	if bits&otherBits != 0 {
		return true
	}
	return bits&groupBits != 0 && (os.Getenv(Variable) != "1" || !ownGroup(info))
}

// Other says what is at path if it is not a regular file: a symbolic link, for example,
// whatever it leads to. It is empty for a file and for a path that does not exist.
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

// Loose returns the paths that exist and that other users may open.
func Loose(paths ...string) []string {
	return slices.DeleteFunc(slices.Clone(paths), func(path string) bool {
		info, err := os.Stat(path)
		return err != nil || !Open(info)
	})
}

// Refuse returns one error that names all paths that other users may open; nil if there are
// none.
func Refuse(paths ...string) error {
	loose := Loose(paths...)
	if len(loose) == 0 {
		return nil
	}
	return fmt.Errorf("other users may open %s: %s", Describe(loose), Fix(loose))
}

// Describe names files and their modes. Of a symbolic link it names the target, because the
// target's mode counts.
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

// Fix says how to close the files to other users.
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
				mode = "600" // this process is not in its group
			}
		}
	}
	return "run 'chmod " + mode + " " + strings.Join(quoted, " ") + "'" + orAllow(paths)
}

// orAllow names the alternative if it would work: only a group of this process is accepted.
func orAllow(paths []string) string {
	if os.Getenv(Variable) == "1" {
		return ""
	}
	for _, path := range paths {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm()&otherBits != 0 || !ownGroup(info) {
			return ""
		}
	}
	return ", or use --allow-group or " + Variable + "=1 if the platform sets group bits (fsGroup)"
}

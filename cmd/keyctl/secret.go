package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/mcpkeys/mcpkeys/internal/app/wording"
	"github.com/mcpkeys/mcpkeys/internal/base/infile"
	"github.com/mcpkeys/mcpkeys/keys"
)

// card is the text around a new secret.
type card struct {
	top, bottom func()
	json        func(secret string) any // what -o json prints; secret is empty if it went to a file
}

// handOver prints a secret or writes it to file. It is the only function that lets a secret
// leave the program.
func (a *app) handOver(secret keys.Secret, file *secretFile, c card) error {
	if file != nil {
		if err := file.write(secret.Reveal()); err != nil {
			return err
		}
	}
	if a.output == formatJSON {
		if file != nil {
			return a.printJSON(c.json(""))
		}
		return a.printJSON(c.json(secret.Reveal()))
	}
	c.top()
	switch {
	case file != nil:
		a.say("The secret is in %s (0600). It is written once; only a keyed hash is kept.", wording.Clean(file.path))
	case isTerminal(a.stdout):
		a.say("This is the secret. It is shown once; only a keyed hash is kept.\n")
		if err := a.print("    " + a.bold(a.stdout, secret.Reveal()) + "\n"); err != nil {
			return err
		}
		a.say("")
	default:
		if err := a.print(secret.Reveal() + "\n"); err != nil {
			return err
		}
		a.say("The secret went to standard output, once; only a keyed hash is kept.")
	}
	c.bottom()
	return nil
}

// cardTop describes a new key, on standard error.
func (a *app) cardTop(k *keys.Key) {
	what := "key"
	if k.Kind == keys.KindAdmin {
		what = "admin key"
	}
	a.say("issued %s %s\n", what, a.bold(a.stderr, wording.Clean(k.Label())))
	rows := []row{
		{"id", k.ID},
		{"scopes", words(k.Scopes, "none")},
		{"audience", words(k.Audience, everyServer(k))},
		{"expires", a.deadline(k.ExpiresAt)},
	}
	if len(k.AllowedIPs) > 0 {
		rows = append(rows, row{"from", words(prefixes(k.AllowedIPs), "")})
	}
	if !k.RateLimit.IsZero() {
		rows = append(rows, row{"rate", k.RateLimit.String()})
	}
	a.say("%s", strings.TrimRight(aligned(rows, a.width(a.stderr)), "\n"))
	a.say("")
}

// cardBottom prints warnings, and what to type next.
func (a *app) cardBottom(k *keys.Key) {
	a.warnings(k)
	a.say("\nnext: %s", a.about("show", k))
	a.say("to revoke it: %s", a.about("revoke", k))
}

// warnings prints the warnings of k, on standard error.
func (a *app) warnings(k *keys.Key) {
	warnings := k.Warnings(a.now())
	if len(warnings) > 0 {
		a.say("")
	}
	for _, w := range warnings {
		a.say("%s %s", a.yellow(a.stderr, "warning:"), w)
	}
}

func everyServer(k *keys.Key) string {
	if k.Kind == keys.KindAdmin {
		return "every audience"
	}
	return "every server of this deployment"
}

// secretFile is a new file that only its owner may read. It never replaces an existing file
// and never follows a link.
type secretFile struct {
	path string
	file *os.File
}

// newSecretFile creates the file, before the secret is made. If that fails, the error says
// that nothing was done, where done is issued, rotated or the like. For an empty path it
// returns nil.
func newSecretFile(path, done string) (*secretFile, error) {
	if path == "" {
		return nil, nil
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("the file of --out-file already exists; nothing was %s; name a new file: %w", done, fs.ErrExist)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, usagef("the directory of --out-file does not exist; nothing was %s; make it, or name another file", done)
	}
	if err != nil {
		return nil, usagef("--out-file cannot be created (%v); nothing was %s; name a file in a directory that you may write to", bare(err), done)
	}
	return &secretFile{path: path, file: f}, nil
}

// bare is the cause of a failure to open a file, without the path, which the user just typed.
func bare(err error) error {
	var path *fs.PathError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return errors.New("no such file")
	case errors.Is(err, infile.ErrKind):
		return errors.New("neither a regular file nor a pipe")
	case errors.As(err, &path):
		return path.Err
	}
	return err
}

func (f *secretFile) write(secret string) error {
	_, err := f.file.WriteString(secret + "\n")
	return errors.Join(err, f.file.Sync(), f.file.Close())
}

// remove removes the file again, when no secret was made.
func (f *secretFile) remove() error {
	if f == nil {
		return nil
	}
	return errors.Join(f.file.Close(), os.Remove(f.path))
}

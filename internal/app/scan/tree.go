package scan

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/mcpkeys/mcpkeys/internal/base/infile"
	"github.com/mcpkeys/mcpkeys/keys"
)

// UnreadError is a file or a folder that could not be looked at. Like a Finding's, its
// Path is masked.
type UnreadError struct {
	Path string
	Err  error
}

func (e *UnreadError) Error() string { return fmt.Sprintf("%s: %v", e.Path, e.Err) }

// Unwrap returns what the system said.
func (e *UnreadError) Unwrap() error { return e.Err }

// Tree looks into the file at root, or into every regular file below it, in the order
// of their names, and at the names themselves. The root may be a pipe. The folder .git is left out: what it
// holds is compressed, and [History] reads it. Whatever could not be read is told to
// unread, and the others are looked at all the same; the error is that of root or of
// ctx.
func Tree(ctx context.Context, root string, report func(Finding), unread func(*UnreadError)) error {
	info, err := os.Stat(root)
	switch {
	case err != nil:
		return fmt.Errorf("scan: %w", err)
	case !info.IsDir() && !info.Mode().IsRegular():
		return file(ctx, root, report)
	}
	if target, err := filepath.EvalSymlinks(root); err == nil { // what was named is meant, link or not
		root = target
	}
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			unread(&UnreadError{Masked(path), bare(err)})
			return nil
		case d.IsDir() && d.Name() == ".git":
			return fs.SkipDir
		}
		for _, f := range FindTokens([]byte(d.Name())) {
			report(Finding{File: Masked(path), Token: f.Token})
		}
		if !d.Type().IsRegular() {
			return nil
		}
		err = file(ctx, path, report)
		if ctx.Err() == nil && err != nil {
			unread(&UnreadError{Masked(path), bare(err)})
		}
		return nil
	})
}

func file(ctx context.Context, path string, report func(Finding)) error {
	f, err := infile.Open(ctx, path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // only read from
	return Stream(f, func(line int, t keys.Token) { report(Finding{File: Masked(path), Line: line, Token: t}) })
}

// bare leaves out of err the path, which stands beside it.
func bare(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

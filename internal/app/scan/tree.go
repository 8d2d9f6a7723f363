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

// UnreadError is a file or folder that could not be read. Its Path is masked like that of a
// Finding.
type UnreadError struct {
	Path string
	Err  error
}

func (e *UnreadError) Error() string { return fmt.Sprintf("%s: %v", e.Path, e.Err) }

// Unwrap returns the cause.
func (e *UnreadError) Unwrap() error { return e.Err }

// Tree scans the file at root, or every regular file below it in the order of their names,
// and the names themselves. The root may be a pipe. It skips folders named .git, whose files
// are compressed; [History] reads them. It reports to unread what it cannot read, and
// continues; the error is that of root or of ctx.
func Tree(ctx context.Context, root string, report func(Finding), unread func(*UnreadError)) error {
	info, err := os.Stat(root)
	switch {
	case err != nil:
		return fmt.Errorf("scan: %w", err)
	case !info.IsDir() && !info.Mode().IsRegular():
		return file(ctx, root, report)
	}
	if target, err := filepath.EvalSymlinks(root); err == nil { // a link is followed if it is the root
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
	defer func() { _ = f.Close() }() // it was only read
	return Stream(f, func(line int, t keys.Token) { report(Finding{File: Masked(path), Line: line, Token: t}) })
}

// bare removes the path from err, because an UnreadError already has it.
func bare(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

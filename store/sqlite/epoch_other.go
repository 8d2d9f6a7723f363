//go:build !unix

package sqlite

import (
	"errors"
	"io/fs"
)

// Without shared mappings there is no counter: every check asks the database.

const canShare = false

type page struct{ file fileID }

type fileID struct{ inode uint64 }

func identityOf(fs.FileInfo) (fileID, error) { return fileID{}, nil }

func share(string, bool) (*page, error) { return nil, errors.ErrUnsupported }

func (*page) load() (uint64, bool) { return 0, false }
func (*page) marked() bool         { return true }
func (*page) add() bool            { return false }
func (*page) settled() bool        { return false }
func (*page) settle()              {}

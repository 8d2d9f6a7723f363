//go:build !unix

package sqlite

import (
	"errors"
	"io/fs"
	"sync/atomic"
)

// Without shared mappings there is no counter: every check asks the database.

const canShare = false

type page struct{ file fileID }

type fileID struct{ device, inode uint64 }

func seeBy(info fs.FileInfo, err error) (sight, error) {
	if err != nil {
		return sight{}, err
	}
	return sight{links: 1, regular: info.Mode().IsRegular()}, nil
}

func identityOf(fs.FileInfo) (fileID, error) { return fileID{}, nil }

func share(string, bool) (*page, error) { return nil, errors.ErrUnsupported }

func (*page) load() (uint64, bool) { return 0, false }
func (*page) marked() bool         { return true }
func (*page) add() bool            { return false }
func (*page) move(uint64) bool     { return false }
func (*page) settled() bool        { return false }
func (*page) setSettled()          {}
func (*page) copied() bool         { return false }
func (*page) own() bool            { return false }

func (*page) standing() (standing, bool)                         { return standing{}, false }
func (*page) raise(uint64) bool                                  { return false }
func (*page) setWord(uint64) bool                                { return false }
func (*page) setID(epochID) bool                                 { return false }
func (*page) flush() error                                       { return nil }
func (*page) within(func(word func(at int) *atomic.Uint64)) bool { return false }

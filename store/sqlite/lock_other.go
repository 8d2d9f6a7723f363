//go:build !unix

package sqlite

import "os"

// lockFile is what there is not: writers compete as SQLite has them.
type lockFile struct{}

func openLock(string) *lockFile { return nil }

func (*lockFile) isAt(string) bool { return false }
func (*lockFile) tryLock() bool    { return false }
func (*lockFile) lock() error      { return nil }
func (*lockFile) unlock()          {}
func (*lockFile) close()           {}

func (fileID) numbers() (major, minor uint32) { return 0, 0 }

func (*lockFile) like(string) {}

func makeLike(*os.File, string) {}

//go:build !unix

package sqlite

import (
	"errors"
	"os"
	"time"
)

// Without shared mappings there is no counter: every check asks the database.

type mapping struct{ file fileID }

type fileID struct{}

func identify(path string) (fileID, error) {
	_, err := os.Stat(path)
	return fileID{}, err
}

func share(string, bool) (*mapping, error) { return nil, errors.ErrUnsupported }

func (m *mapping) load() uint64    { return 0 }
func (m *mapping) add()            {}
func (m *mapping) born() time.Time { return time.Time{} }

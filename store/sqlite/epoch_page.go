package sqlite

import (
	"encoding/binary"
	"errors"
	"io/fs"
)

// Layout of the epoch file: one page, its words in the machine's own byte order,
// because it is memory first.
const (
	epochSize    = 4096
	wordCounter  = 0
	wordSettled  = 8  // not 0: nobody can be mapping a file that stood here before
	wordInode    = 16 // of the file that this was written as
	wordPosition = 24 // see position.go
	markAt       = 32
	wordID       = 64 // two words: the database's epoch id, zero while it is being replaced
	epochMark    = "mcpkeys epoch 1\n"
)

var errCutShort = errors.New("it is cut short")

// newPage is the content of the file that info is of. A copy of it has another inode
// and so gives itself away: it may have come here by a restore, under the eyes of
// processes that map the file it replaced.
func newPage(info fs.FileInfo, s standing, settled bool) []byte {
	text := make([]byte, epochSize)
	binary.NativeEndian.PutUint64(text[wordPosition:], s.word)
	copy(text[wordID:], s.id[:])
	if settled {
		binary.NativeEndian.PutUint64(text[wordSettled:], 1)
	}
	if file, err := identityOf(info); err == nil {
		binary.NativeEndian.PutUint64(text[wordInode:], file.inode)
	}
	copy(text[markAt:], epochMark)
	return text
}

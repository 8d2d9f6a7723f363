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
	wordSettled  = 8  // not 0: no process can be mapping an earlier file of this name
	wordInode    = 16 // of the file that this was written as
	wordPosition = 24 // see position.go
	markAt       = 32
	wordID       = 64 // two words: the database's epoch id, zero while it is being replaced
	wordBorn     = 80 // when the file that this was written as was made, 0 where the system does not tell
	epochMark    = "mcpkeys epoch 1\n"
	// from slotsAt on: the slots, see slotword.go
)

var errCutShort = errors.New("it is cut short")

// newPage is the content of the file of info, made at born. A copy is recognised, because it
// has another inode or another time. It is refused, because the original may be in use: two
// databases with one id would diverge, and each could replace the other unnoticed.
func newPage(info fs.FileInfo, born uint64, s standing, settled bool) []byte {
	text := make([]byte, epochSize)
	binary.NativeEndian.PutUint64(text[wordPosition:], s.word)
	copy(text[wordID:], s.id[:])
	if settled {
		binary.NativeEndian.PutUint64(text[wordSettled:], 1)
	}
	binary.NativeEndian.PutUint64(text[wordBorn:], born)
	if file, err := identityOf(info); err == nil {
		binary.NativeEndian.PutUint64(text[wordInode:], file.inode)
	}
	copy(text[markAt:], epochMark)
	return text
}

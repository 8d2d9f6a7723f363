package sqlite

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
)

// Behind the first page of the file of locks each slot has room for a list that its server
// writes for people, such as which verifiers have a lease. Nothing is decided by it. It begins
// with the nonce of the server, its length, and a checksum of both and of itself.
const (
	listsAt  = 4096
	listRoom = MostList + 4096
	listHead = 16

	// MostList is the length of the longest list that [Slot.Describe] takes.
	MostList = 64 << 10
)

func listAt(i int) int64 { return listsAt + int64(i)*listRoom }

// Describe stores a list for people, as JSON of at most [MostList] bytes, which decides
// nothing. [Servers] returns it.
func (s *Slot) Describe(list []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.page == nil:
		return fmt.Errorf("%w: no slot is held", keys.ErrUnavailable)
	case len(list) > MostList:
		return fmt.Errorf("the list has %d bytes; leave out rows, so that it has at most %d", len(list), MostList)
	}
	if err := s.file.writeAt(sumList(s.nonce, list), listAt(s.number)); err != nil {
		return fmt.Errorf("write %s: %w", slotsPath(s.store.path), err)
	}
	return nil
}

// sumList puts the head before the list.
func sumList(nonce uint64, list []byte) []byte {
	text := make([]byte, listHead, listHead+len(list))
	binary.NativeEndian.PutUint64(text, nonce)
	binary.NativeEndian.PutUint32(text[8:], uint32(len(list))) //nolint:gosec // at most MostList
	text = append(text, list...)
	binary.NativeEndian.PutUint32(text[12:], crc32.ChecksumIEEE(text)) // with zero in its own place
	return text
}

// readList returns the list of the server with the nonce; nil if there is none, or it is being
// written.
func readList(f *lockFile, i int, nonce uint64) json.RawMessage {
	text := make([]byte, listHead+MostList)
	n := f.readAt(text, listAt(i))
	if n < listHead {
		return nil
	}
	length := int(binary.NativeEndian.Uint32(text[8:]))
	if length > n-listHead {
		return nil
	}
	list := text[listHead : listHead+length]
	if !bytes.Equal(sumList(nonce, list), text[:listHead+length]) || !json.Valid(list) {
		return nil
	}
	return list
}

// ServerState is one slot in use, for people.
type ServerState struct {
	Slot      int             // from 0 on
	Running   bool            // its server's process is running
	Floor     uint64          // see [Slot.Publish]
	HandedOut time.Time       // the latest time until which an answer may be kept; zero: none was handed out
	List      json.RawMessage // from [Slot.Describe]; nil if there is none
}

// Servers returns the slots in use of the key store at path. On systems other than Linux there
// are none.
func Servers(ctx context.Context, path string) ([]ServerState, error) {
	path, err := place(path)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil || !canHold {
		return nil, err
	}
	p, err := share(epochPath(path), false)
	if err != nil {
		return nil, fmt.Errorf("%w: %s cannot be used: %w", keys.ErrUnavailable, epochPath(path), err)
	}
	at, ok := p.standing()
	if !ok {
		return nil, fmt.Errorf("%w: %s: %w", keys.ErrUnavailable, epochPath(path), errCutShort)
	}
	f, err := readSlots(path)
	switch {
	case err == nil:
		defer f.close()
	case !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("open %s: %w", slotsPath(path), err)
	}
	var list []ServerState
	for i := range slotCount {
		s, ok := p.slot(i)
		if !ok || s.nonce == slotFree {
			continue
		}
		state := ServerState{Slot: i, Floor: s.position(at.word), HandedOut: s.until()}
		if f != nil {
			state.Running, state.List = f.heldByte(i), readList(f, i, s.nonce)
		}
		list = append(list, state)
	}
	return list, nil
}

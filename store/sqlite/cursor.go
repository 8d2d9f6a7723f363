package sqlite

import (
	"encoding/base64"
	"encoding/binary"

	"github.com/mcpkeys/mcpkeys/keys"
)

// cursor is a place in the list: after the key with that id and createdAt. Keys made later
// come before it, so they never shift what follows.
type cursor struct {
	createdAt int64
	id        string
}

const (
	cursorVersion = 1
	cursorLen     = 1 + 8 + keys.IDLen
)

func cursorAfter(r *record) cursor { return cursor{r.createdAt, string(r.id)} }

// String renders c for the outside, where it is opaque.
func (c cursor) String() string {
	b := make([]byte, 0, cursorLen)
	b = append(b, cursorVersion)
	b = binary.BigEndian.AppendUint64(b, uint64(c.createdAt)) //nolint:gosec // the bits, not the value
	b = append(b, c.id...)
	return base64.RawURLEncoding.EncodeToString(b)
}

// parseCursor accepts exactly what String writes; the decoder alone would let line
// breaks pass.
func parseCursor(text string) (cursor, error) {
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(b) != cursorLen {
		return cursor{}, errCursor()
	}
	c := cursor{int64(binary.BigEndian.Uint64(b[1:9])), string(b[9:])} //nolint:gosec // the bits, not the value
	if c.String() != text {
		return cursor{}, errCursor()
	}
	return c, nil
}

func errCursor() error {
	return &keys.InvalidError{Field: "cursor", Reason: "does not belong to this list; start again without a cursor"}
}

func (f *filter) addCursor(text string) error {
	if text == "" {
		return nil
	}
	c, err := parseCursor(text)
	if err != nil {
		return err
	}
	f.after = &c
	return nil
}

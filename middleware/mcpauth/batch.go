package mcpauth

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"github.com/mcpkeys/mcpkeys/middleware/internal/mcpfront"
	"github.com/mcpkeys/mcpkeys/middleware/internal/mcppolicy"
)

// look reads as much of a POST as it needs to tell whether it is a batch, and of a batch as
// much as it needs to tell that it is too large: such a batch is refused before the SDK parses
// it, in any version. opens says that the request would open a session.
func (h *handler) look(w http.ResponseWriter, r *http.Request) (opens, ok bool) {
	if r.Method != http.MethodPost || r.Body == nil {
		return false, true
	}
	body := io.Reader(r.Body)
	if h.maxBody > 0 {
		body = http.MaxBytesReader(w, r.Body, h.maxBody)
	}
	mayOpen := r.Header.Get(mcpfront.HeaderSession) == "" && !mcpfront.Sessionless(r)
	text, rest, err := readBatch(body, mayOpen)
	if err != nil {
		h.guard.Refuse(w, r, mcpfront.BatchTooLarge)
		return false, false
	}
	r.Body = struct {
		io.Reader
		io.Closer
	}{rest, r.Body}
	return mayOpen && initializes(text), true
}

var errTooMany = errors.New("too many messages")

// readBatch reads a complete batch, and another body only if whole is set. rest is the complete
// body again, with the error that ended it.
func readBatch(body io.Reader, whole bool) (text []byte, rest io.Reader, err error) {
	var c counter
	piece := make([]byte, 4<<10)
	for {
		n, err := body.Read(piece)
		text = append(text, piece[:n]...)
		if c.count(piece[:n]); c.elements > mcpfront.MaxBatch {
			return nil, nil, errTooMany
		}
		if err != nil {
			return text, io.MultiReader(bytes.NewReader(text), failing{err}), nil //nolint:nilerr // rest ends with it
		}
		if c.began && !c.array && !whole {
			return text, io.MultiReader(bytes.NewReader(text), body), nil
		}
	}
}

// failing is the end of a body.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// counter counts the elements of an array while it is read. For text that is not JSON the count
// has no meaning; the parser refuses it.
type counter struct {
	began, array     bool
	elements, depth  int
	quoted, escaping bool
}

func (c *counter) count(piece []byte) {
	for _, b := range piece {
		switch {
		case !c.began:
			c.begin(b)
		case !c.array:
			return
		case c.escaping:
			c.escaping = false
		case c.quoted:
			c.quoted, c.escaping = b != '"', b == '\\'
		default:
			c.structure(b)
		}
	}
}

// begin looks for the first byte that is not a space or part of a byte order mark.
func (c *counter) begin(b byte) {
	if b <= ' ' || b == 0xEF || b == 0xBB || b == 0xBF {
		return
	}
	c.began, c.array = true, b == '['
	if c.array {
		c.depth, c.elements = 1, 1 // or zero, which is not a batch either
	}
}

func (c *counter) structure(b byte) {
	switch b {
	case '"':
		c.quoted = true
	case '[', '{':
		c.depth++
	case ']', '}':
		c.depth--
	case ',':
		if c.depth == 1 {
			c.elements++
		}
	}
}

// initializes reports whether a message of text opens a session. If it misses one, the SDK's
// own session is noticed later.
func initializes(text []byte) bool {
	type message struct {
		Method string `json:"method"`
	}
	var batch []message
	if json.Unmarshal(text, &batch) != nil {
		batch = make([]message, 1)
		if json.Unmarshal(text, &batch[0]) != nil {
			return false
		}
	}
	for _, m := range batch {
		if m.Method == mcppolicy.Initialize {
			return true
		}
	}
	return false
}

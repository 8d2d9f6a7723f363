package mcpauth

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"

	"github.com/mcpkeys/mcpkeys/middleware/internal/mcpfront"
	"github.com/mcpkeys/mcpkeys/middleware/internal/mcppolicy"
)

// look reads as much of a POST as it needs to tell whether it is a batch, and of a batch as
// much as it needs to tell that it is too large: such a batch is refused before the SDK parses
// it, in any version. opens says that the request would open a session.
func (h *handler) look(w http.ResponseWriter, r *http.Request, b *body) (opens, ok bool) {
	if r.Method != http.MethodPost || r.Body == nil {
		return false, true
	}
	b.Closer, b.rest = r.Body, r.Body
	if h.maxBody > 0 {
		b.rest = http.MaxBytesReader(w, r.Body, h.maxBody)
	}
	mayOpen := r.Header.Get(mcpfront.HeaderSession) == "" && !mcpfront.Sessionless(r)
	if err := b.fill(mayOpen); err != nil {
		h.guard.Refuse(w, r, mcpfront.BatchTooLarge)
		return false, false
	}
	r.Body = b
	return mayOpen && initializes(b.text), true
}

var errTooMany = errors.New("too many messages")

// body is the body of a request of which the beginning was read already.
type body struct {
	io.Closer
	text []byte    // the beginning
	rest io.Reader // what follows
	end  error     // or why nothing follows
}

func (b *body) Read(p []byte) (n int, err error) {
	switch {
	case len(b.text) > 0:
		n = copy(p, b.text)
		b.text = b.text[n:]
		return n, nil
	case b.end != nil:
		return 0, b.end
	}
	return b.rest.Read(p)
}

// drop comes when the request is over: its session keeps it until the next one.
func (b *body) drop() { b.text, b.rest, b.end = nil, nil, http.ErrBodyReadAfterClose }

// pieceSize is how much of a body is read at once.
const pieceSize = 4 << 10

// fill reads a complete batch, and another body only if whole is set.
func (b *body) fill(whole bool) error {
	var c counter
	for {
		b.text = slices.Grow(b.text, pieceSize)
		from := len(b.text)
		n, err := b.rest.Read(b.text[from : from+pieceSize])
		b.text = b.text[:from+n]
		if c.count(b.text[from:]); c.elements > mcpfront.MaxBatch {
			return errTooMany
		}
		if b.end = err; err != nil || c.began && !c.array && !whole {
			return nil //nolint:nilerr // Read returns it
		}
	}
}

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

package keys

import (
	"crypto/rand"
	"time"
)

// Batch is an import as a store keeps it. Its keys are written in parts, and no query finds
// them until the batch is valid: all of them become so at once, or none does. The seal
// keeps a database shell from making an unfinished import valid.
type Batch struct {
	ID        []byte // 16 random bytes; see [NewBatchID]
	StartedAt time.Time
	Actor     string
	ValidAt   time.Time // zero while it is unfinished
	Seal      Seal
}

// batchIDLen is the length of [Batch.ID].
const batchIDLen = 16

// NewBatchID draws the id of a batch.
func NewBatchID() []byte {
	id := make([]byte, batchIDLen)
	_, _ = rand.Read(id) // never fails
	return id
}

// SealBatch binds b, as it is now, to the current pepper.
func (p *Peppers) SealBatch(b *Batch) {
	mac := p.current.row(p.sealedBatch(b))
	b.Seal = Seal{Format: sealFormat, PepperID: p.current.id, MAC: mac[:]}
}

// CheckBatch returns [ErrTampered] unless b is exactly what was sealed.
func (p *Peppers) CheckBatch(b *Batch) error {
	pepper, ok := p.byID[b.Seal.PepperID]
	if !ok || !pepper.row(p.sealedBatch(b)).Equal(b.Seal.MAC) {
		return ErrTampered
	}
	return nil
}

// sealedBatch renders b, as an import into the peppers' store. It begins with a text where
// that of a key begins with a small number: the seal of one never fits the other.
func (p *Peppers) sealedBatch(b *Batch) string {
	c := make(canonical, 0, 128)
	c.text("mcpkeys/batch")
	c.number(sealFormat)
	c.text(string(p.store[:]))
	c.text(string(b.ID))
	c.time(b.StartedAt)
	c.text(b.Actor)
	c.time(b.ValidAt)
	return string(c)
}

// NewKeys are keys for [Store.CreateAll], which become valid together.
type NewKeys struct {
	Batch []byte // of all of the keys; see [NewBatchID]
	Actor Actor

	// Told hears of each key, in order, what became of it: nil, or the ErrConflict for
	// which it is left out.
	Told func(k *Key, refused error)
	// Vain is asked before each part: is it certain already that nothing will come of it?
	// Then the part is only tried, and not written. Nil is no.
	Vain func() bool
	// Judge is asked when all keys were told of. With an error nothing of them stays, and
	// CreateAll returns it. Nil wants all of them: the first refusal is the error.
	Judge func() error
	// Done makes the audit row of the end, when so many keys become valid.
	Done func(keys int) (Event, error)
}

// BatchDetail is the detail of [ActionImportDone] and [ActionImportUndo]: how many keys of
// a batch became valid, or were removed because it never did.
type BatchDetail struct {
	Batch string `json:"batch"` // in hex
	Keys  int    `json:"keys"`
}

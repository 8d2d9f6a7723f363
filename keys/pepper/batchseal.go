package pepper

import (
	"crypto/rand"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/internal/canon"
)

// Batch is an import as a store keeps it. Its keys are written in parts, and no query finds
// them until the batch is valid: all of them become valid at once, or none. Because of the
// seal a database shell cannot make an unfinished import valid.
type Batch struct {
	ID        []byte // 16 random bytes; see [NewBatchID]
	StartedAt time.Time
	Actor     string
	ValidAt   time.Time // zero while it is unfinished
	Seal      keys.Seal
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
func (p *Set) SealBatch(b *Batch) {
	mac := p.current.row(p.sealedBatch(b))
	b.Seal = keys.Seal{Format: sealFormat, PepperID: p.current.id, MAC: mac[:]}
}

// CheckBatch returns [keys.ErrTampered] unless b is exactly what was sealed.
func (p *Set) CheckBatch(b *Batch) error {
	pepper, ok := p.byID[b.Seal.PepperID]
	if !ok || !pepper.row(p.sealedBatch(b)).Equal(b.Seal.MAC) {
		return keys.ErrTampered
	}
	return nil
}

// sealedBatch renders b, as an import into the peppers' store. It begins with a text, and
// that of a key with a small number, so the seal of one never matches the other.
func (p *Set) sealedBatch(b *Batch) string {
	c := make(canon.Text, 0, 128)
	c.Text("mcpkeys/batch")
	c.Number(sealFormat)
	c.Text(string(p.store[:]))
	c.Text(string(b.ID))
	c.Time(b.StartedAt)
	c.Text(b.Actor)
	c.Time(b.ValidAt)
	return string(c)
}

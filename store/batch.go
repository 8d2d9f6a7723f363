package store

import (
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/audit"
)

// NewKeys are keys for [Store.CreateAll], which become valid together.
type NewKeys struct {
	Batch []byte // of all of the keys; see [pepper.NewBatchID]
	Actor audit.Actor

	// Told hears of each key, in order, what became of it: nil, or the ErrConflict for
	// which it is left out.
	Told func(k *keys.Key, refused error)
	// Vain is asked before each part: is it certain already that nothing will come of it?
	// Then the part is only tried, and not written. Nil is no.
	Vain func() bool
	// Judge is asked when all keys were told of. With an error nothing of them stays, and
	// CreateAll returns it. Nil wants all of them: the first refusal is the error.
	Judge func() error
	// Done makes the audit row of the end, when so many keys become valid.
	Done func(keys int) (audit.Event, error)
}

package store

import (
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/audit"
)

// NewKeys are keys for [Store.CreateAll], which become valid together.
type NewKeys struct {
	Batch []byte // of all of the keys; see [pepper.NewBatchID]
	Actor audit.Actor

	// Told is called for each key, in order, with nil or with the ErrConflict for which the
	// key is left out.
	Told func(k *keys.Key, refused error)
	// Vain is called before each part. If it returns true, because the import cannot succeed
	// any more, the part is only tried and not written. Nil means false.
	Vain func() bool
	// Judge is called after Told was called for all keys. If it returns an error, none of
	// the keys is kept and CreateAll returns the error. If Judge is nil, every key must be
	// accepted: the first refusal is the error.
	Judge func() error
	// Done makes the audit row of the end, with the number of keys that become valid.
	Done func(keys int) (audit.Event, error)
}

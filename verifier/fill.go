package verifier

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/verifier/internal/flight"
)

// fills are the reads of keys, by id. What one reads is remembered only if the key did
// not change meanwhile: a row that was read before a change and put in place after the
// change was announced would stay for ever, because nobody announces a change twice. A
// fill that is not marked is good enough for a check that watch.fresh has let through: had
// its row been read before a change, the look that found the change would have marked it.
type fills = flight.Group[string, *entry]

// read gets the key from the store. A row with a broken seal is an error: nothing it
// says can be acted upon, not even that it is revoked.
func (v *Verifier) read(ctx context.Context, id string) (*entry, error) {
	k, err := v.reader.Key(ctx, id)
	if errors.Is(err, keys.ErrNotFound) {
		return nil, nil
	}
	if err == nil {
		err = v.reader.Peppers().CheckSeal(k)
	}
	if err != nil {
		return nil, fmt.Errorf("key %s: %w", id, err)
	}
	return newEntry(k), nil
}

// fetch returns the key's entry as it stands now or later, nil for an unknown id. It
// comes after watch.fresh.
func (v *Verifier) fetch(ctx context.Context, id string) (*entry, error) {
	id = strings.Clone(id) // or the token would stay in memory with it
	one, began := v.fills.Join(id)
	if !began {
		if err := one.Wait(ctx); err != nil {
			return nil, err
		}
		return one.Result, one.Err
	}
	defer v.fills.Land(id, one, func(e *entry) { v.remember(id, e) })
	one.Result, one.Err = v.read(context.WithoutCancel(ctx), id) // who hangs up must not fail those who wait
	return one.Result, one.Err
}

package verifier

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/mcpkeys/mcpkeys/keys"
)

// fills reads keys from the store, each by one request for all that wait for it.
//
// What it reads is remembered only if the key did not change meanwhile. A row that
// was read before a change and put in place after the change was announced would
// stay for ever: nobody announces a change twice. So a fill is known from before
// its reading until after its result is in place, and a change marks it.
type fills struct {
	mu     sync.Mutex
	flying map[string]*fill
}

type fill struct {
	changed bool // guarded by fills.mu; the result must not be remembered
	done    chan struct{}
	entry   *entry // nil for an unknown id
	err     error
}

// mark marks the fills of the given ids, or all of them.
func (f *fills) mark(c keys.Changes) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if c.Lost {
		for _, one := range f.flying {
			one.changed = true
		}
	}
	for _, id := range c.IDs {
		if one := f.flying[id]; one != nil {
			one.changed = true
		}
	}
}

// join returns a fill under way, or begins one, which the caller must fly. A fill that
// is not marked is good enough for whoever has just made sure that all he should know
// of is forgotten: had its row been read before a change, the look that found the
// change would have marked it.
func (f *fills) join(id string) (one *fill, began bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if one := f.flying[id]; one != nil && !one.changed {
		return one, false
	}
	one = &fill{done: make(chan struct{})}
	if f.flying == nil {
		f.flying = map[string]*fill{}
	}
	f.flying[strings.Clone(id)] = one // one that was not good enough lands unnoticed
	return one, true
}

// land puts the result in place, unless the key changed meanwhile, and lets go.
func (f *fills) land(id string, one *fill, remember func(*entry)) {
	f.mu.Lock()
	if f.flying[id] == one {
		delete(f.flying, id)
		if !one.changed && one.err == nil {
			remember(one.entry)
		}
	}
	f.mu.Unlock()
	close(one.done)
}

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
	one, began := v.fills.join(id)
	if !began {
		select {
		case <-one.done:
			return one.entry, one.err
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: waiting for the store: %w", keys.ErrUnavailable, context.Cause(ctx))
		}
	}
	one.err = errUnread // for those who wait, should reading panic
	defer v.fills.land(id, one, func(e *entry) { v.remember(id, e) })
	one.entry, one.err = v.read(context.WithoutCancel(ctx), id) // who hangs up must not fail those who wait
	return one.entry, one.err
}

var errUnread = fmt.Errorf("%w: reading broke off", keys.ErrUnavailable)

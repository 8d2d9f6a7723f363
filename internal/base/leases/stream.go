package leases

import (
	"context"
	"errors"
	"strings"

	"github.com/mcpkeys/mcpkeys/internal/base/protocol"
)

// ErrTooMany is the error of one stream too many. Verifiers without a stream learn of changes
// when they renew their lease.
var ErrTooMany = errors.New("too many streams of changes")

var errReplaced = errors.New("the verifier opened another stream")

// stream is an open stream of positions to one verifier.
type stream struct{ cancel context.CancelCauseFunc }

// Stream makes room for a stream of positions to an instance, until release is called. The
// context ends with ctx, when the server leaves, or when the instance opens another stream:
// the connection of the first one may have broken without notice. It fails with [ErrTooMany] or
// [ErrClosed].
func (r *Registry) Stream(ctx context.Context, caller string, instance protocol.Instance) (held context.Context, release func(), err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed || r.leaving {
		return nil, nil, ErrClosed
	}
	id := who{strings.Clone(caller), instance}
	old := r.streams[id]
	if old == nil && (len(r.streams) >= maxVerifiers || r.streaming[caller] >= maxCaller) {
		return nil, nil, ErrTooMany
	}
	held, cancel := context.WithCancelCause(ctx)
	if old != nil {
		old.cancel(errReplaced)
	} else {
		r.streaming[id.caller]++
	}
	s := &stream{cancel}
	r.streams[id] = s
	go func() {
		select {
		case <-r.done:
			cancel(ErrClosed)
		case <-r.left:
			cancel(ErrClosed)
		case <-held.Done():
		}
	}()
	return held, func() {
		cancel(nil)
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.streams[id] != s {
			return // another one took its place
		}
		delete(r.streams, id)
		if r.streaming[id.caller]--; r.streaming[id.caller] == 0 {
			delete(r.streaming, id.caller)
		}
	}, nil
}

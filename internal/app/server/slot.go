package server

import (
	"context"
	"errors"
	"log/slog"

	"github.com/mcpkeys/mcpkeys/internal/base/leases"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
)

// slotOf takes the server's slot in the key store. Without one no lease is granted.
func slotOf(ctx context.Context, st *sqlite.Store, logger *slog.Logger) leases.Slot {
	slot, err := st.TakeSlot()
	switch {
	case err == nil:
		return slot
	case errors.Is(err, errors.ErrUnsupported):
		return leases.NoSlot{Expected: true}
	}
	logger.WarnContext(ctx, "no slot in the key store yet: guards on other hosts get no lease and ask for each request", slog.Any("error", err))
	return &lateSlot{Slot: leases.NoSlot{}, store: st}
}

// lateSlot is the slot of a server that got none at its start, because too many servers run. It
// takes one when it is renewed.
type lateSlot struct {
	leases.Slot
	store *sqlite.Store
	taken bool
}

// Renew implements [leases.Slot].
func (l *lateSlot) Renew() error {
	if l.taken {
		return l.Slot.Renew()
	}
	slot, err := l.store.TakeSlot()
	if err != nil {
		return err
	}
	l.Slot, l.taken = slot, true
	return nil
}

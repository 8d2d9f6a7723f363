package verifier

import (
	"log/slog"
	"sync"
	"time"
)

// mayCount refuses a reader that says that it cannot write counts down: a list of unused
// keys would have those that are in use here. A reader without an opinion is
// believed.
func mayCount(reader any) error {
	if r, ok := reader.(interface{ MayCount() error }); ok {
		return r.MayCount()
	}
	return nil
}

// useErrorsEach is how often it is logged that counts cannot be written.
const useErrorsEach = time.Minute

// logUseErrors is what hears of counts that could not be written where nothing else does.
func logUseErrors(clock func() time.Time) func(error) {
	var mu sync.Mutex
	var last time.Time
	return func(err error) {
		mu.Lock()
		defer mu.Unlock()
		now := clock()
		if !last.IsZero() && now.Sub(last) < useErrorsEach {
			return
		}
		last = now
		slog.Error("counts of use could not be written, so keys in use may look unused", slog.Any("error", err))
	}
}

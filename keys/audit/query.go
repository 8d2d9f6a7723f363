package audit

import (
	"context"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
)

// Query says which rows of the audit log to return. The zero Query returns
// all, newest first. A row is returned if it meets every condition; texts are compared
// literally.
type Query struct {
	KeyID  string    // exact, also of a key that no longer exists
	Actor  string    // exact, as audit rows name it
	Action Action    // exact
	Since  time.Time // at this moment or later
	Until  time.Time // before this moment

	OldestFirst bool  // else newest first
	After       int64 // the Seq after which to continue, in that order; 0 starts
	Limit       int   // of one page; 0 means [keys.DefaultLimit], above [keys.MaxLimit] is cut
}

// Page is a part of the audit log. Rows are never removed, so paging shows each row
// once, also while rows are written. [store.VerifyAudit] checks whether rows were changed.
type Page struct {
	Events []Event
	Next   int64 // After of the next page; 0 on the last one
}

// Chain yields the audit rows after the number after, oldest first, to the end of the log,
// for [VerifyChain]. It reads page by page, so it includes rows written during the read.
func Chain(ctx context.Context, r Source, after int64) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		q := Query{OldestFirst: true, After: after, Limit: keys.MaxLimit}
		for {
			page, err := r.Audit(ctx, q)
			if err != nil {
				yield(Event{}, err)
				return
			}
			for _, e := range page.Events {
				if !yield(e, nil) {
					return
				}
			}
			if page.Next == 0 {
				return
			}
			q.After = page.Next
		}
	}
}

// ParseAction reads an action as audit rows name it, such as key.revoke; "key." may be left
// out. The error is a [*keys.InvalidError] of the field action, and lists the actions.
func ParseAction(text string) (Action, error) {
	action := Action(text)
	if !strings.Contains(text, ".") {
		action = Action("key." + text)
	}
	if slices.Contains(Actions(), action) {
		return action, nil
	}
	words := make([]string, 0, len(Actions()))
	for _, a := range Actions() {
		words = append(words, string(a))
	}
	return "", keys.Invalid("action", "must be one of %s; for a key's actions, the word after the dot is enough", strings.Join(words, ", "))
}

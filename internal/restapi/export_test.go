package restapi

// MaxReplays is how many records there are at the most.
const MaxReplays = maxReplays

// OnceWith is what a request with that one Idempotency-Key has.
func OnceWith(word string) *Once { return &Once{IdempotencyKey: word, keys: 1} }

// Len counts the records, also those that are kept in order only.
func (all *Replays) Len() int { return max(len(all.known), len(all.order)) }

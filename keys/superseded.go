package keys

import "time"

const (
	// SupersededKept is how long a secret that a rotation ended is recognised. Imported ones
	// are kept as long as their pepper, because an import must find that their tokens have
	// ended.
	SupersededKept = 30 * 24 * time.Hour

	// MaxSuperseded is how many ended secrets of one key are recognised.
	MaxSuperseded = 8
)

// Superseded is what is kept of a secret that a rotation ended, so that a log can say that
// a client still sends it. It authorises nothing: it is read only after all secrets of the
// key have failed. It is not sealed, because an added row could only change the word in a
// log.
type Superseded struct {
	Number   int64
	Scheme   Scheme
	PepperID string
	Digest   []byte
	Lookup   []byte // as in [KeySecret]
	EndedAt  time.Time
}

// Kept reports whether s is recent enough to be recognised at now.
func (s *Superseded) Kept(now time.Time) bool { return now.Sub(s.EndedAt) < SupersededKept }

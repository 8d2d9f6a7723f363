package keys

import "time"

// Query says which keys to list. The zero Query lists all. A key is listed if it meets every
// condition. Texts are compared literally: %, _ and * have no special meaning.
type Query struct {
	Status    Status // at Now; empty means any
	Unrevoked bool
	Kind      Kind    // empty means both
	Name      string  // exact
	Owner     *string // exact; nil means any
	IDPrefix  string
	Scope     string    // among the granted ones, exactly as granted
	Audience  string    // among the key's, exactly
	Search    string    // part of id, name or owner, without regard to ASCII case
	ExpiresBy time.Time // unrevoked keys that end before this
	UnusedBy  time.Time // keys neither used nor issued since this; ErrUnavailable if that is not known

	Now    time.Time // for Status; the Manager sets it
	Limit  int       // of one page; 0 means [DefaultLimit], above [MaxLimit] is cut
	Cursor string    // Next of the page before
}

// Sizes of a page.
const (
	DefaultLimit = 50
	MaxLimit     = 200
)

// Page is a part of a list. All pages together contain every key that existed from the first
// page to the last, each once, even if keys are issued in between.
type Page struct {
	Keys []*Key
	Next string // opaque; empty on the last page

	// LastUsed is the last use of each of Keys that was ever used, by id. It is nil if
	// the usage counts cannot be read.
	LastUsed map[string]LastUse

	// Tampered has the ids of Keys with a broken seal: do not trust their fields. The
	// Manager fills it; a store leaves it empty.
	Tampered []string
}

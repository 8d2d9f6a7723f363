package store

import (
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
)

// DenialQuery says which denials to return, newest first. The zero DenialQuery returns
// the newest [keys.DefaultLimit]. A denial is returned if it meets every condition.
type DenialQuery struct {
	KeyID string    // exact, as in the request
	Code  keys.Code // exact
	Since time.Time // of this minute or later
	Limit int       // 0 means [keys.DefaultLimit]; there are never more than twice [usage.DenialsKept]
}

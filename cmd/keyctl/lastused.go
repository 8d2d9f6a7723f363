package main

import (
	"encoding/json"
	"time"

	"github.com/mcpkeys/mcpkeys/internal/wording"
	"github.com/mcpkeys/mcpkeys/keys"
)

// lastUsed is when a key was last used, which may not be known: "never" is only said
// of a key that never was, because unused keys get revoked.
type lastUsed struct {
	at    time.Time // zero for never
	known bool
}

// lastUsedOf looks into a page.
func lastUsedOf(page *keys.Page, id string) lastUsed {
	return lastUsed{at: page.LastUsed[id].At, known: page.LastUsed != nil}
}

// IsZero makes json's omitzero leave out what is not known.
func (l lastUsed) IsZero() bool { return !l.known }

// MarshalJSON renders never as null.
func (l lastUsed) MarshalJSON() ([]byte, error) { return json.Marshal(moment(l.at)) }

// relative is for a column.
func (l lastUsed) relative(now time.Time) string {
	switch {
	case !l.known:
		return "?"
	case l.at.IsZero():
		return "never"
	}
	return wording.Relative(l.at, now)
}

// csv tells never from unknown, which is empty.
func (l lastUsed) csv() string {
	switch {
	case !l.known:
		return ""
	case l.at.IsZero():
		return "never"
	}
	return l.at.Format(time.RFC3339Nano)
}

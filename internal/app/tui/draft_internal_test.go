package tui

import (
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
)

// An expiry that was not changed in the form is left out of the request: otherwise an admin key
// that expires within the usual ninety days could not issue anything.
func TestUntouchedLifeIsLeftOpen(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	d := newDraft()
	d.name = "ci"
	req, err := d.request(now)
	if err != nil || !req.Expires.IsDefault() {
		t.Errorf("request: got %v, %v, want the expiry left open", req.Expires, err)
	}
	d.expires = "30d"
	if req, err = d.request(now); err != nil || req.Expires.IsDefault() {
		t.Errorf("request for 30d: got %v, %v, want 30 days", req.Expires, err)
	}
	if at, _ := (keys.Expiry{}).At(now); !at.Equal(now.Add(keys.DefaultLife)) {
		t.Errorf("the default life: got %v", at)
	}
}

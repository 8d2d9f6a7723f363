package admin

import (
	"errors"

	"github.com/mcpkeys/mcpkeys/keys"
)

// asSent has a refusal name the member as the request does: an expiry, which is one field
// in the domain, is two members here, and an edit is a body.
func asSent(err error, expiresAt bool) error {
	var refused *keys.InvalidError
	if !errors.As(err, &refused) {
		return err
	}
	member := refused.Field
	switch {
	case member == "edit":
		member = "body"
	case member == "expires" && expiresAt:
		member = "expires_at"
	case member == "expires":
		member = "expires_in"
	}
	return &keys.InvalidError{Field: member, Reason: refused.Reason}
}

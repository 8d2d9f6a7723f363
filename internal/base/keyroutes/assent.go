package keyroutes

import (
	"errors"

	"github.com/mcpkeys/mcpkeys/keys"
)

// asSent makes a refusal name the members as in the request: an expiry, which is one field in
// the domain, is two members here, and an edit is a body. For each member it keeps the first
// error.
func asSent(err error, expiresAt bool) error {
	found := keys.Faults(err)
	if len(found) == 0 {
		return err
	}
	var out []error
	told := map[string]bool{}
	for _, f := range found {
		member := member(f.Field, expiresAt)
		if !told[member] {
			told[member] = true
			out = append(out, &keys.InvalidError{Field: member, Reason: f.Reason})
		}
	}
	return errors.Join(out...)
}

func member(field string, expiresAt bool) string {
	switch {
	case field == "edit":
		return "body"
	case field == "expires" && expiresAt:
		return "expires_at"
	case field == "expires":
		return "expires_in"
	}
	return field
}

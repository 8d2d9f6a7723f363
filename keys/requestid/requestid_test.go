package requestid_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/requestid"
)

func TestRequestIDs(t *testing.T) {
	if a, b := requestid.Or(""), requestid.Or(""); a == b || uuid.MustParse(a).Version() != 7 {
		t.Errorf("NewRequestID: got %q and %q", a, b)
	}
	if got := requestid.From(requestid.With(t.Context(), "abc")); got != "abc" {
		t.Errorf("RequestIDFrom: got %q, want abc", got)
	}
	if got := requestid.From(t.Context()); uuid.Validate(got) != nil {
		t.Errorf("RequestIDFrom an empty context: got %q, want a fresh UUID", got)
	}
}

// The mistake: a client sends its key, or a part of it, as its request id. An id is echoed,
// logged and kept in the audit log permanently.
func TestValidateRequestID(t *testing.T) {
	token := keys.NewToken(keys.KindAdmin).Secret().Reveal()
	for id, fine := range map[string]bool{
		requestid.Or(""):                                          true,
		"0198A1B2-C3D4-7EF6-8718-293A4B5C6D7E":                    true,
		"0198a1b2c3d47ef68718293a4b5c6d7e":                        true, // a trace id
		"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01": true, // a traceparent
		"01ARZ3NDEKTSV4RRFFQ69G5FAV":                              true, // a ULID
		"1srOrx2ZWZBpBUvZwXKQmoEYga2":                             true, // a KSUID
		"ticket-4711":                                             true,
		"a.b_c":                                                   true,
		strings.Repeat("0123456789-", 6)[:64]:                     true,

		"":                                      false,
		strings.Repeat("0123456789-", 6)[:64+1]: false,
		"two words":                             false, "a/b": false, "a=b": false, "a\n": false, "é": false, "\xff": false,
		token:                              false,
		token[:25]:                         false,
		token[len("mcpa_"):]:               false,
		token[len("mcpa_")+13:]:            false,
		token[len("mcpa_")+13:][:30]:       false,
		"x-" + token[len(token)-36:]:       false,
		"0198A1B2C3D47EF68718293A4B5C6D7E": false, // may as well be a piece of a secret
		strings.Repeat("a", 31):            false,
		strings.Repeat("a", 33):            false,
	} {
		err := requestid.Validate(id)
		if (err == nil) != fine {
			t.Errorf("ValidateRequestID(%q): got %v, want fine %v", id, err, fine)
		}
		var invalid *keys.InvalidError
		if err != nil && (!errors.As(err, &invalid) || invalid.Field != "request_id" || id != "" && strings.Contains(err.Error(), id)) {
			t.Errorf("ValidateRequestID(%q): got %v, want an InvalidError of request_id without the id", id, err)
		}
	}
}

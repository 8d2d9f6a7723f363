package restapi

import (
	"errors"
	"testing"

	"github.com/mcpkeys/mcpkeys/internal/base/protocol"
)

// A message is read by exact names at any depth; encoding/json alone would fold their case.
func TestMessagesAreReadExactly(t *testing.T) {
	const from = `"instance":"000102030405060708090a0b0c0d0e0f","n":1`
	for _, tc := range []struct {
		name, text string
		want       error
	}{
		{"good", `{` + from + `,"uses":[{"key_id":"a","pass":"000102030405060708090a0b0c0d0e0f","counts":[{"hour":"2026-11-27T09:00:00Z","code":"valid","calls":1}]}]}`, nil},
		{"a name in another case", `{` + from + `,"Uses":[]}`, errUnknown},
		{"an embedded name in another case", `{` + from + `,"Audience":"x"}`, errUnknown},
		{"the name of the embedded struct", `{` + from + `,"From":{}}`, errUnknown},
		{"deep, in another case", `{` + from + `,"uses":[{"KEY_ID":"a"}]}`, errUnknown},
		{"deeper, unknown", `{` + from + `,"uses":[{"key_id":"a","counts":[{"secret":1}]}]}`, errUnknown},
		{"null", `{` + from + `,"uses":null}`, errNull},
		{"null, deep", `{` + from + `,"denials":[{"pass":null}]}`, errNull},
		{"twice, deep", `{` + from + `,"uses":[{"key_id":"a","key_id":"b"}]}`, errTwice},
		{"trailing text", `{` + from + `}{}`, errNotJSON},
		{"a short instance", `{"instance":"00","n":1}`, errWrongType},
		{"a number for a list", `{` + from + `,"uses":1}`, errWrongType},
		{"an object for a list", `{` + from + `,"uses":{}}`, errWrongType},
		{"an object for an instance", `{"instance":{"a":1},"n":1}`, errWrongType},
	} {
		var m protocol.Counts
		if got := decode([]byte(tc.text), &m); !errors.Is(got, tc.want) {
			t.Errorf("%s: got %v, want %v", tc.name, got, tc.want)
		}
	}
}

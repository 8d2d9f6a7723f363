package stdio

import (
	"bytes"
	"encoding/json"
	"testing"
)

// An accepted message is JSON, keeps its bytes when nothing is replaced, and changes only where
// something is.
func FuzzMessage(f *testing.F) {
	for _, text := range []string{
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"_meta":{"progressToken":"t"},"name":"x"}}`,
		`{"jsonrpc":"2.0","id":"\u0031","result":{"_meta":{"io.modelcontextprotocol/subscriptionId":7}}}`,
		` { "jsonrpc" : "2.0" , "method":"notifications/cancelled","params":{"requestId":1e0} } `,
		`{"jsonrpc":"2.0","id":null,"error":{"code":-32700}}`,
		`{"jsonrpc":"2.0","id":1,"method":"x","params":[1]}`,
		`[{"jsonrpc":"2.0","method":"x"}]`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		list, _, err := parseAll(text, true)
		if err != nil {
			return
		}
		for _, m := range list {
			if !json.Valid(m.text) || bytes.ContainsAny(m.text, "\r\n") {
				t.Fatalf("accepted %q", m.text)
			}
			places := []span{m.id, m.token, m.requestID, m.progress, m.subscription}
			var same, other []edit
			for _, at := range places {
				if !at.none() {
					same = append(same, edit{at, m.bytes(at)})
					other = append(other, edit{at, []byte("12345")})
				}
			}
			if got := m.with(same...); !bytes.Equal(got, m.text) {
				t.Fatalf("%q became %q", m.text, got)
			}
			again, err := parse(m.with(other...), true)
			if err != nil || again.method != m.method || len(other) > 0 && !json.Valid(again.text) {
				t.Fatalf("%q became %q: %v", m.text, m.with(other...), err)
			}
		}
	})
}

package sqlite

import (
	"encoding/json"
	"reflect"
	"slices"
	"testing"
)

// plainLists are columns as mcpkeys writes them, and as a database shell may.
var plainLists = []string{
	`["a"]`, `["tools:get_*","tools:search","prompts:*"]`, `[""]`, `["",""]`, `["a b","[","]"]`, `["x]","[y"]`,
	`[]`, `{}`, ``, `"`, `""`, `["`, `"]`, `[]]`, `["]`, `["a"`, `"a"]`, `["a",]`, `["a""b"]`, `["a"x"b"]`, `["a" ,"b"]`, ` ["a"]`, `["a"] `,
	`["a","b"`, `["a",1]`, `[1]`, `[null]`, `null`, `[["a"]]`, `["a\"b"]`, `["a\u0062"]`, `["\\"]`, `["ä"]`, "[\"\xff\"]", "[\"a\x00\"]", "[\"\x7f\"]",
	`["a,b"]`, `[","]`, `["a",",","b"]`, `["a"],["b"]`, `["a","b]`, `["<&>"]`,
}

// A list that is read without encoding/json is what encoding/json reads, and shares no text that it
// would refuse.
func FuzzPlainList(f *testing.F) {
	for _, text := range plainLists {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var got, want []string
		if !plainList(text, &got) {
			if got != nil {
				t.Errorf("plainList(%q): got %q and false", text, got)
			}
			return
		}
		if err := json.Unmarshal([]byte(text), &want); err != nil || !slices.Equal(got, want) {
			t.Errorf("plainList(%q): got %q, want %q, %v", text, got, want, err)
		}
	})
}

// What mcpkeys writes without an escape is read without encoding/json.
func TestPlainListReadsWhatIsWritten(t *testing.T) {
	for _, want := range [][]string{{"a"}, {"tools:get_*", "tools:search"}, {"weather", "", "maps"}, {"192.0.2.0/24"}} {
		var got []string
		if !plainList(toJSON(want), &got) || !reflect.DeepEqual(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

package client

import "testing"

// An error continues a sentence, so it begins small and has no full stop. Several sentences stay
// as the server wrote them.
func TestClause(t *testing.T) {
	for detail, want := range map[string]string{
		"":                                   "",
		".":                                  ".",
		"The name is taken.":                 "the name is taken",
		"Übergabe is taken.":                 "übergabe is taken",
		"The name is taken":                  "The name is taken",
		"The key is revoked. Issue another.": "The key is revoked. Issue another.",
		"Version 1.2 is required.":           "version 1.2 is required",
	} {
		if got := clause(detail); got != want {
			t.Errorf("clause(%q): got %q, want %q", detail, got, want)
		}
	}
}

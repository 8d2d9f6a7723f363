package restapi

import "testing"

func TestSentence(t *testing.T) {
	for text, want := range map[string]string{
		"this name is taken": "This name is taken.",
		"älter is taken":     "Älter is taken.",
		"is it? yes!":        "Is it? yes!",
		"Done.":              "Done.",
		"x":                  "X.",
		"\xffbroken":         "\xffbroken",
		"":                   "",
	} {
		if got := sentence(text); got != want {
			t.Errorf("sentence(%q): got %q, want %q", text, got, want)
		}
	}
}

package archtest_test

import (
	"regexp"
	"strings"
	"testing"
)

// attacks are the abuse cases that must each have a test of their own, which names
// the number: in its function's name (TestA13…), its comment, or its script.
var attacks = []struct{ number, tells string }{
	{"A1", "a body that says what its sender would like to be"},
	{"A2", "one key by two headers, and two decisions"},
	{"A3", "a limit that counts a request twice, or not at all"},
	{"A4", "SQL metacharacters, wildcards, NUL and a megabyte as id, name, owner or search"},
	{"A5", "two keys that are equal in all but a few characters"},
	{"A6", "a hash that wants more work than a server has, and a queue of them"},
	{"A7", "an empty key, an empty bearer, no store: denied, never open"},
	{"A8", "an example or default key that works"},
	{"A12", "forwarding headers that are believed"},
	{"A13", "two credentials, folded and joined headers, odd spacing"},
	{"A14", "a body that says two things about which tool it calls"},
	{"A15", "paths and methods that slip past a guard"},
	{"A16", "a browser that is made to call a local server"},
	{"A17", "a request that starts after a revoke has returned, and passes"},
	{"A18", "a process that sleeps through a revocation"},
	{"A19", "a process that dies in the middle of a change"},
	{"A20", "a full disk, on which a leaked key cannot be revoked"},
	{"A21", "a change of one key that reaches another"},
	{"A22", "a flood that fills the memory"},
	{"A24", "clocks that jump, and the edge of an expiry"},
	{"A25", "a key store, and keys, of an older version"},
	{"A26", "a limited admin key that makes, or ends, a stronger one"},
	{"A27", "digests swapped and scopes edited by SQL"},
	{"A28", "control sequences that reach a terminal by way of what is stored"},
}

func TestEveryAttackHasATest(t *testing.T) {
	files := textFiles(t)
	for _, a := range attacks {
		if !told(files, a.number) {
			t.Errorf("no test tells attack %s: %s", a.number, a.tells)
		}
	}
}

// told looks for the number in tests and scripts outside this package.
func told(files map[string]string, number string) bool {
	named := regexp.MustCompile(`(\b|Test)` + number + `([^0-9]|$)`)
	for name, text := range files {
		isTest := strings.HasSuffix(name, "_test.go") || strings.HasSuffix(name, ".txtar") || strings.HasPrefix(name, "store/storetest/")
		if isTest && !strings.HasPrefix(name, "internal/dev/archtest/") && named.MatchString(text) {
			return true
		}
	}
	return false
}

package mcpauth_test

import (
	"net/http"
	"testing"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/keys"
)

// The attack: a thief sends the head of a call and the beginning of its body, and waits. When the key
// is revoked, or narrowed, and the command has returned, the rest follows.
func TestA17BodyThatEndsAfterTheRevoke(t *testing.T) {
	for _, version := range eras {
		for what, change := range map[string]func(s *site, id string){
			"revoked":  func(s *site, id string) { s.Revoke(id) },
			"narrowed": func(s *site, id string) { s.Change(id, func(k *keys.Key) { k.Scopes = []string{"tools:other"} }) },
		} {
			t.Run(version+" "+what, func(t *testing.T) {
				s := newSite(t, nil, "add")
				token, id := s.Issue(admin.IssueRequest{Name: "thief", Scopes: []string{"tools:add"}})
				r := callOf(version, "add")
				if r.token = token; version == legacy {
					r.session = s.open(token)
				}
				finish := s.Begin(t, s.request(http.MethodPost, r))
				change(s, id)
				status, answer := finish()
				if ran := s.ran(); len(ran) > 0 {
					t.Errorf("after the change the tool ran: %v (%d %s)", ran, status, answer)
				}
			})
		}
	}
}

package mcphttp_test

import (
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/keys"
)

// The attack: a thief sends the headers of calls and the beginning of their bodies, and waits. When
// the key is revoked, or narrowed, and the command has returned, the rest follows.
func TestA17BodyThatEndsAfterTheRevoke(t *testing.T) {
	for _, version := range eras {
		for what, change := range map[string]func(s *site, id string){
			"revoked":  func(s *site, id string) { s.Revoke(id) },
			"narrowed": func(s *site, id string) { s.Change(id, func(k *keys.Key) { k.Scopes = []string{"tools:other"} }) },
		} {
			for _, r := range []request{callOf(version, "add"), message(version, "tools/list", "", "{}"), message(version, "ping", "", "{}")} {
				if what == "narrowed" && strings.Contains(r.body, `"ping"`) {
					continue // every valid key may
				}
				t.Run(version+" "+what+" "+r.body[28:40], func(t *testing.T) {
					s := newSite(t, echo(), nil)
					token, id := s.Issue(admin.IssueRequest{Name: "thief", Scopes: []string{"tools:add"}})
					r.token = token
					finish := s.Begin(t, s.request(r))
					change(s, id)
					status, answer := finish()
					for _, saw := range s.reached() {
						t.Errorf("after the change the server got %s %s", saw.method, saw.body)
					}
					if status == http.StatusOK && !strings.Contains(answer, `"error"`) {
						t.Errorf("got %d %s, want a refusal", status, answer)
					}
				})
			}
		}
	}
}

// The attack: the call of a batch waits until the list before it is answered, and the key is revoked
// while the server answers the list.
func TestA17CallBehindAList(t *testing.T) {
	inList, revoked := make(chan struct{}), make(chan struct{})
	s := newSite(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if strings.Contains(string(body), "tools/list") {
			close(inList)
			<-revoked
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":1,"result":{"tools":[]}}`)
	}), nil)
	token, id := s.Issue(admin.IssueRequest{Name: "thief", Scopes: []string{"tools:add"}})
	go func() {
		<-inList
		s.Revoke(id)
		close(revoked)
	}()
	s.do(request{token: token, body: `[` + callOf(legacy, "add").body + `,{"jsonrpc":"2.0","id":8,"method":"tools/list"}]`})
	for _, saw := range s.reached() {
		if strings.Contains(saw.body, "tools/call") {
			t.Errorf("the server got %s after the key was revoked", saw.body)
		}
	}
}

// The attack: a server that finds the stream of an answer by the request's id sends the guard's own,
// unfiltered list to a client that asks with the same id. So the ids of the guard cannot be
// foreseen, and an id that is in use is refused.
func TestIDsThatAreInUse(t *testing.T) {
	var mu sync.Mutex
	var own []string
	running, end := make(chan struct{}, 1), make(chan struct{})
	s := newSite(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		id := regexp.MustCompile(`"id":("[^"]*"|\d+)`).FindStringSubmatch(string(body))
		w.Header().Set("Content-Type", "application/json")
		switch {
		case id == nil:
			w.WriteHeader(http.StatusAccepted)
			return
		case strings.Contains(string(body), `"initialize"`):
			w.Header().Set("Mcp-Session-Id", "one")
		case strings.Contains(string(body), "tools/list"):
			mu.Lock()
			own = append(own, id[1])
			mu.Unlock()
		case strings.Contains(string(body), "tools/call"):
			running <- struct{}{}
			<-end
		}
		_, _ = fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"result":{"tools":[]}}`, id[1])
	}), nil)
	token := s.Granted("tools:add")
	session := s.open(token)
	in := func(r request) request { r.token, r.session = token, session; return r }
	for range 2 {
		s.post(in(message(legacy, "tools/list", "", "{}")))
	}
	number := regexp.MustCompile(`^"mcpkeys-[A-Z2-7]{26}"$`)
	if len(own) != 2 || own[0] == own[1] || !number.MatchString(own[0]) || !number.MatchString(own[1]) {
		t.Errorf("the guard's ids: got %s, want two that cannot be foreseen", own)
	}
	first := make(chan int, 1)
	go func() {
		status, _ := s.post(in(callOf(legacy, "add")))
		first <- status
	}()
	<-running
	if status, answer := s.post(in(callOf(legacy, "add"))); status != http.StatusBadRequest || !strings.Contains(answer, "still runs") {
		t.Errorf("the same id again: got %d %s, want 400", status, answer)
	}
	close(end)
	if status := <-first; status != http.StatusOK {
		t.Errorf("the first call: got %d, want 200", status)
	}
	if status, _ := s.post(in(callOf(legacy, "add"))); status != http.StatusOK {
		t.Errorf("the same id after its answer: got %d, want 200", status)
	}
}

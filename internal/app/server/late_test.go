package server_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/internal/app/server"
	"github.com/mcpkeys/mcpkeys/internal/dev/servertest"
	"github.com/mcpkeys/mcpkeys/keys"
)

// lateBody calls before when it is read first: the head of its request was judged by then.
type lateBody struct {
	io.Reader
	before func()
	once   sync.Once
}

func (b *lateBody) Read(p []byte) (int, error) {
	b.once.Do(b.before)
	return b.Reader.Read(p)
}

// The attack: the thief of an admin key sends the head of a request and keeps the body. The key is
// revoked, and the command has returned; then the body follows, and issues a key that stays valid.
func TestA17BodyThatEndsAfterTheRevoke(t *testing.T) {
	for path, of := range map[string]struct{ kind, body string }{
		"/v1/keys":         {"application/json", `{"name":"back door","scopes":["tools:*"]}`},
		"/v1/verify":       {"application/json", `{"key":"mcpk_x","audience":"weather"}`},
		"/v1/verify/batch": {"application/json", `{"checks":[{"key":"mcpk_x","audience":"weather"}]}`},
		"/v1/introspect":   {"application/x-www-form-urlencoded", "token=mcpk_x"},
	} {
		t.Run(path, func(t *testing.T) {
			f := servertest.New(t)
			handler, err := server.Handler(f.API, nil)
			if err != nil {
				t.Fatal(err)
			}
			token, id := f.Issue(admin.IssueRequest{Name: "thief", Kind: keys.KindAdmin, Expires: keys.NeverExpires()})
			r := httptest.NewRequest(http.MethodPost, "http://localhost"+path, &lateBody{Reader: strings.NewReader(of.body), before: func() { f.Revoke(id) }})
			r.Header.Set("Authorization", "Bearer "+token)
			r.Header.Set("Content-Type", of.kind)
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, r)
			if w.Code != http.StatusUnauthorized {
				t.Errorf("got %d %s, want 401", w.Code, w.Body)
			}
			if s := f.State(); s.Keys != 1 || s.Live != 0 {
				t.Errorf("afterwards: got %+v, want only the revoked key", s)
			}
		})
	}
}

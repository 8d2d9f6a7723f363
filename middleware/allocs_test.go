package middleware_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/internal/dev/guardtest"
	"github.com/mcpkeys/mcpkeys/keys"
)

// A request that is admitted takes one piece of memory: the copy that the handler gets, with what
// the guard notes. A key with a limit takes one more, for the two fields of the answer. This
// depends on what the compiler puts in line, so it can break without any change here.
func TestAllocations(t *testing.T) {
	k := guardtest.NewKeyring(t)
	limited, _ := k.Issue(admin.IssueRequest{
		Scopes: []string{guardtest.Needed}, RateLimit: keys.RateLimit{Count: 100_000_000, Window: time.Second, Burst: 100_000_000},
	})
	for name, c := range map[string]struct {
		token string
		want  float64
	}{"without a limit": {k.Granted(guardtest.Needed), 1}, "with a limit": {limited, 2}} {
		t.Run(name, func(t *testing.T) {
			h := k.Guard(nil).Require(guardtest.Needed)(ok)
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			credential := []string{"Bearer " + c.token}
			w := httptest.NewRecorder()
			got := testing.AllocsPerRun(1000, func() {
				r.Header["Authorization"] = credential // the guard removed it
				h.ServeHTTP(w, r)
			})
			if w.Code != http.StatusOK {
				t.Fatalf("status: got %d, want 200", w.Code)
			}
			if got > c.want {
				t.Errorf("allocations: got %v, want %v", got, c.want)
			}
		})
	}
}

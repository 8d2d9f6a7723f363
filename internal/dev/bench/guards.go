package bench

import (
	"io"
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/mcpkeys/mcpkeys/middleware"
	"github.com/mcpkeys/mcpkeys/middleware/ginauth"
)

// answer is all that the handlers say.
const answer = "ok\n"

// plain is the handler that is guarded, or not.
var plain = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, answer) })

func (s *Stage) guard() *middleware.Guard {
	return middleware.New(s.hit, &middleware.Options{Audience: audience})
}

// guards are the handlers with and without a guard, called without a network.
func (s *Stage) guards() []Case {
	return []Case{
		{Name: "GuardNetHTTP", Floor: "PlainNetHTTP", Run: s.serve(s.guard().Require(needed)(plain))},
		{Name: "PlainNetHTTP", Run: s.serve(plain)},
		{Name: "GuardGin", Floor: "PlainGin", Run: s.serve(ginServer(ginauth.Require(s.guard(), needed)))},
		{Name: "PlainGin", Run: s.serve(ginServer())},
	}
}

func ginServer(before ...gin.HandlerFunc) http.Handler {
	gin.SetMode(gin.ReleaseMode)
	e := gin.New()
	e.GET("/", append(before, func(c *gin.Context) { c.String(http.StatusOK, answer) })...)
	return e
}

// serve calls h with what a client of net/http sends. The headers are made again each time,
// because a guard removes the key from them.
func (s *Stage) serve(h http.Handler) func(int) error {
	return func(n int) error {
		r, err := http.NewRequest(http.MethodGet, "/", nil) //nolint:noctx // it goes nowhere
		if err != nil {
			return err
		}
		r.RemoteAddr = "127.0.0.1:40000"
		w := &blank{header: http.Header{}}
		for i := range n {
			r.Header = http.Header{
				"Authorization": {"Bearer " + s.tokens[i%few]}, "Accept-Encoding": {"gzip"}, "User-Agent": {"Go-http-client/1.1"},
			}
			clear(w.header)
			h.ServeHTTP(w, r)
			if w.status != http.StatusOK {
				return errWrong
			}
		}
		return nil
	}
}

// blank is an answer that is not read.
type blank struct {
	header http.Header
	status int
}

func (b *blank) Header() http.Header    { return b.header }
func (b *blank) WriteHeader(status int) { b.status = status }

func (b *blank) Write(p []byte) (int, error) {
	b.status = http.StatusOK // of a refusal there is no Write without a WriteHeader before
	return len(p), nil
}

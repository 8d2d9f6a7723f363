package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/internal/app/server"
	"github.com/mcpkeys/mcpkeys/internal/base/leases"
	"github.com/mcpkeys/mcpkeys/keys"
)

// AnswerPromise is the part of a bare route's throughput that is promised of a verification and
// of an introspection; AnswerSlack is what a machine that checks changes must show of each.
const (
	AnswerPromise = 0.50
	AnswerSlack   = 0.40
)

// Answer is a verification of `keyctl serve`, beside a route of gin that reads the same request
// and writes the same bytes.
type Answer struct {
	Name     string
	Promised bool // at least AnswerPromise
	Pairs    []Pair
}

// Answers measures the verifications for other languages and for proxies over loopback, as
// [Stage.Loopback] does: all of the server's handlers, a registry of leases included.
// It asks the questions that are wanted.
func (s *Stage) Answers(ctx context.Context, load Client, runs int, want func(question string, promised bool) bool) (out []Answer, err error) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	ours, stop, err := s.serveAPI(ctx)
	if err != nil {
		return nil, err
	}
	defer stop()
	caller, err := s.manager.Issue(ctx, admin.IssueRequest{
		Name: "answers", Kind: keys.KindAdmin, Scopes: []string{keys.ScopeVerify}, Audience: []string{audience},
	})
	if err != nil {
		return nil, err
	}
	for _, q := range questions(caller.Token.Reveal(), s.tokens[0]) {
		if !want(q.name, q.promised) {
			continue
		}
		pairs, err := beside(ctx, ours, q, load, runs)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", q.name, err)
		}
		out = append(out, Answer{q.name, q.promised, pairs})
	}
	return out, nil
}

// serveAPI serves what `keyctl serve` serves.
func (s *Stage) serveAPI(ctx context.Context) (addr string, stop func(), err error) {
	slot, err := s.store.TakeSlot()
	if err != nil {
		return "", nil, err
	}
	registry := leases.New(s.store, slot, nil)
	o := &server.Options{Leases: registry}
	v, err := server.NewVerifier(s.store, o)
	if err != nil {
		return "", nil, errors.Join(err, registry.Close())
	}
	shut := func() { _, _ = v.Close(), registry.Close() }
	handler, err := server.Handler(server.API(s.store, v, o), o)
	if err != nil {
		shut()
		return "", nil, err
	}
	addr, end, err := listen(ctx, handler)
	if err != nil {
		shut()
		return "", nil, err
	}
	return addr, func() { end(); shut() }, nil
}

type question struct {
	name     string
	promised bool
	request  string
}

func questions(caller, token string) []question {
	var tools []string
	for i := range 100 {
		tools = append(tools, fmt.Sprintf(`"tools:get_%d"`, i))
	}
	post := func(path, kind, body string) string {
		return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: localhost\r\nUser-Agent: python-httpx/0.28.1\r\nAuthorization: Bearer %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s",
			path, caller, kind, len(body), body)
	}
	return []question{
		{"/v1/verify", true, post("/v1/verify", "application/json", `{"key":"`+token+`","audience":"weather","scopes":["`+needed+`"]}`)},
		{"/v1/verify, ask 100", false, post("/v1/verify", "application/json", `{"key":"`+token+`","audience":"weather","ask":[`+strings.Join(tools, ",")+`]}`)},
		{"/v1/introspect", true, post("/v1/introspect", "application/x-www-form-urlencoded", "token="+token+"&token_type_hint=access_token")},
		{"/v1/forward-auth", false, get("/v1/forward-auth?audience=weather", token)},
	}
}

// beside asks once, and then loads a route that gives that answer in turn with ours.
func beside(ctx context.Context, ours string, q question, load Client, runs int) ([]Pair, error) {
	head, body, _ := strings.Cut(q.request, "\r\n\r\n")
	fields := strings.Fields(head)
	r, err := http.NewRequestWithContext(ctx, fields[0], "http://"+ours+fields[1], strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	for _, line := range strings.Split(head, "\r\n")[1:] {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Set(name, value)
	}
	a, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	defer func() { _ = a.Body.Close() }()
	answer, err := io.ReadAll(a.Body)
	if err != nil || a.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%w: %s %w", errWrong, a.Status, err)
	}
	gin.SetMode(gin.ReleaseMode)
	e := gin.New()
	e.Any(r.URL.Path, func(c *gin.Context) {
		_, _ = io.ReadAll(c.Request.Body)
		c.Data(http.StatusOK, a.Header.Get("Content-Type"), answer)
	})
	bare, stop, err := listen(ctx, e)
	if err != nil {
		return nil, err
	}
	defer stop()
	return inTurn(bare, ours, []byte(q.request), load, runs)
}

// KeptAnswers returns an [ErrBroken] when an answer with a promise is below the slack. Like [Check]
// it judges by processor time.
func KeptAnswers(all []Answer) error {
	for _, a := range all {
		if got := medianOf(a.Pairs, Pair.PerWork); a.Promised && got < AnswerSlack {
			return fmt.Errorf("%s answers %.0f %% of what a bare route does in the same CPU time, less than %.0f %%: %w", a.Name, 100*got, 100*AnswerSlack, ErrBroken)
		}
	}
	return nil
}

// PrintAnswers writes a line for each answer.
func PrintAnswers(w io.Writer, all []Answer) {
	fmt.Fprintf(w, "%-22s%14s%14s%8s%22s\n", "answer", "bare route/s", "ours/s", "part", "part, by CPU time")
	for _, a := range all {
		fmt.Fprintf(w, "%-22s%14.0f%14.0f%6.0f %%%20.0f %%\n", a.Name,
			medianOf(a.Pairs, func(p Pair) float64 { return p.Plain.PerSecond() }),
			medianOf(a.Pairs, func(p Pair) float64 { return p.Guarded.PerSecond() }),
			100*medianOf(a.Pairs, Pair.Ratio), 100*medianOf(a.Pairs, Pair.PerWork))
	}
	fmt.Fprintf(w, "medians of %d alternating runs; of verify and introspect are promised %.0f %% or more of a bare gin route that reads and writes the same bytes\n", len(all[0].Pairs), 100*AnswerPromise)
}

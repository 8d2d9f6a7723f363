package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/audit"
)

// patience is the longest time for all steps, which normally take a few seconds.
const patience = time.Minute

// Once runs all steps and prints them to out. It stops at the first step that fails, and
// returns nil only if every step worked.
func Once(ctx context.Context, keyctl Keyctl, out io.Writer, o *Options) (err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	st, err := newStage(keyctl, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.close()) }()
	s := &story{stage: st}
	defer func() { s.client.close() }()
	defer func() { _ = s.busy.stop() }()

	p := &page{out: out}
	p.title("The life of one key: a guarded MCP server, a client of the go-sdk, and keyctl",
		"as separate processes, in a directory that is removed at the end:", st.dir)
	began := time.Now() //nolint:forbidigo // shown to the reader, nothing is decided by it
	steps := s.steps()
	for i, step := range steps {
		p.step(i+1, step.title, step.types)
		if p.err != nil { // the output cannot be written, so stop
			break
		}
		held, err := step.do(ctx)
		if err != nil {
			p.broken(err)
			return fmt.Errorf("step %d of %d failed (%s): %w", i+1, len(steps), strings.ToLower(step.title), err)
		}
		p.held(held)
	}
	p.end(len(steps), time.Since(began))
	if p.err != nil {
		return fmt.Errorf("the steps cannot be printed: %w", p.err)
	}
	return nil
}

// step is one step: its title, what a person would type, and the function that does and checks
// it. held says what was true.
type step struct {
	title string
	types string
	do    func(context.Context) (held string, err error)
}

// story is the state that the steps share.
type story struct {
	*stage
	token  keys.Token
	client *client
	busy   *busy     // calls without pause, from the rotation to the end of the old secret
	gone   time.Time // when revoke returned
}

// granted is the pattern that the key is issued for, and shown the tools that match it.
const granted = "get_*"

var shown = []string{"get_feels_like", "get_forecast", "get_stations"}

func (s *story) steps() []step {
	return []step{
		{"Make a key store", "keyctl init", s.makeStore},
		{"Issue a key for the tools that only read", "keyctl issue " + keyName + " --tool '" + granted + "'", s.issueKey},
		{"Guard a second server, as on another host", "keyctl serve", s.guardRemotely},
		{"Call the guarded server without a key", "POST /mcp", s.callWithout},
		{"List the tools with the key", "tools/list", s.listTools},
		{"Call a tool that was granted", "tools/call get_feels_like", s.callGranted},
		{"Call a tool that was not granted", "tools/call set_reading", s.callDenied},
		{"Rotate the key, while the client calls without pause", "keyctl rotate " + keyName + " --grace " + grace, s.rotate},
		{"Wait until the old secret ends", "", s.outlive},
		{"Revoke the key, in another process", "keyctl revoke " + keyName + " --yes", s.revoke},
		{"Call both again, one in the session that is still open", "tools/call get_feels_like", s.callRevoked},
		{"Read the audit log", "", s.readAudit},
	}
}

func (s *story) makeStore(ctx context.Context) (string, error) {
	if err := s.init(ctx); err != nil {
		return "", err
	}
	held := "mcpkeys.db and its pepper, readable only by their owner"
	if s.opts != nil && s.opts.Guard {
		held = "mcpkeys.db and its pepper; keyctl guard runs before the server"
	}
	return held, s.serve()
}

func (s *story) issueKey(ctx context.Context) (string, error) {
	var err error
	if s.token, err = s.issue(ctx, granted); err != nil {
		return "", err
	}
	return "mcpk_" + s.token.ID() + "_…  shown once; only a keyed hash is kept", nil
}

func (s *story) callWithout(ctx context.Context) (string, error) {
	status, challenge, err := knock(ctx, s.url, keys.Secret{})
	if err != nil {
		return "", err
	}
	if status != http.StatusUnauthorized || !strings.HasPrefix(challenge, "Bearer") {
		return "", fmt.Errorf("the server answered %d where it must answer 401 and ask for a key", status)
	}
	return "401 Unauthorized", nil
}

func (s *story) listTools(ctx context.Context) (string, error) {
	var err error
	if s.client, err = connect(ctx, s.url, s.token.Secret()); err != nil {
		return "", err
	}
	names, err := s.client.tools(ctx)
	if err != nil {
		return "", err
	}
	if !slices.Equal(names, shown) {
		return "", fmt.Errorf("the list shows %s; a key for %s must see %s", strings.Join(names, ", "), granted, strings.Join(shown, ", "))
	}
	return strings.Join(names, ", ") + ", and no other", nil
}

func feelsLike() map[string]any { return map[string]any{"celsius": -5, "wind_kmh": 30} }

func (s *story) callGranted(ctx context.Context) (string, error) {
	text, err := s.client.call(ctx, "get_feels_like", feelsLike())
	if err != nil {
		return "", fmt.Errorf("get_feels_like was granted, but the call failed: %w", err)
	}
	if !strings.Contains(text, "-13") {
		return "", errors.New("get_feels_like answered, but not that -5 °C feels like -13 in a wind of 30 km/h")
	}
	if err := s.knockRemote(ctx, http.StatusOK); err != nil {
		return "", err
	}
	return "-5 °C in a wind of 30 km/h feels like -13; the second accepts the key too", nil
}

// callDenied compares the answers for a tool that was not granted and one that does not exist:
// a caller must not learn that a tool exists.
func (s *story) callDenied(ctx context.Context) (string, error) {
	const denied, unknown = "set_reading", "set_nothing"
	args := map[string]any{"station": "harbour", "celsius": 40}
	_, deniedErr := s.client.call(ctx, denied, args)
	if deniedErr == nil {
		return "", fmt.Errorf("%s was not granted, but it ran", denied)
	}
	deniedStatus := s.client.sender.status.Load()
	_, unknownErr := s.client.call(ctx, unknown, args)
	if unknownErr == nil {
		return "", fmt.Errorf("%s does not exist, but it ran", unknown)
	}
	same := strings.ReplaceAll(deniedErr.Error(), denied, unknown) == unknownErr.Error()
	if !same || deniedStatus != s.client.sender.status.Load() {
		return "", fmt.Errorf("%s and a tool that does not exist get different answers, which shows that it exists", denied)
	}
	return "refused, word for word like a tool that does not exist", nil
}

func (s *story) revoke(ctx context.Context) (string, error) {
	if _, err := s.run(ctx, "revoke", keyName, "--yes", "--reason", "the demo is over"); err != nil {
		return "", err
	}
	s.gone = time.Now() //nolint:forbidigo // shown to the reader, nothing is decided by it
	return "keyctl has returned: both guards refuse the key from now on", nil
}

func (s *story) callRevoked(ctx context.Context) (string, error) {
	remote := s.knockRemote(ctx, http.StatusUnauthorized)
	took := time.Since(s.gone)
	_, err := s.client.call(ctx, "get_feels_like", feelsLike())
	if err == nil {
		return "", errors.New("the key was revoked, but it still works")
	}
	if status := s.client.sender.status.Load(); status != http.StatusUnauthorized {
		return "", fmt.Errorf("the server answered %d where it must answer 401", status)
	}
	if remote != nil {
		return "", remote
	}
	return fmt.Sprintf("401 Unauthorized from both, %.1f ms after revoke returned", float64(took.Microseconds())/1000), nil
}

// readAudit checks the chain, and that it has the changes of this key and no others. That a
// change waited for the second guard is not a change.
func (s *story) readAudit(ctx context.Context) (string, error) {
	var actions []audit.Action
	last, err := audit.VerifyChain(s.events(ctx, func(e audit.Event) {
		if e.KeyID == s.token.ID() && e.Action != audit.ActionEffective {
			actions = append(actions, e.Action)
		}
	}))
	if err != nil {
		return "", err
	}
	want := []audit.Action{audit.ActionIssue, audit.ActionRotate, audit.ActionRevoke}
	if last == nil || !slices.Equal(actions, want) {
		return "", fmt.Errorf("the log has %v; want %v", actions, want)
	}
	return fmt.Sprintf("%s, %s and %s in %d rows, and the chain is intact", actions[0], actions[1], actions[2], last.Seq), nil
}

// events yields all audit rows, and calls look with each.
func (s *story) events(ctx context.Context, look func(audit.Event)) iter.Seq2[audit.Event, error] {
	const page = 100
	return func(yield func(audit.Event, error) bool) {
		for after := int64(0); ; {
			rows, err := s.store.Events(ctx, after, page)
			if err != nil {
				yield(audit.Event{}, err)
				return
			}
			for _, e := range rows {
				look(e)
				if after = e.Seq; !yield(e, nil) {
					return
				}
			}
			if len(rows) < page {
				return
			}
		}
	}
}

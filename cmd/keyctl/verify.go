package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mcpkeys/mcpkeys/admin/api"
	"github.com/mcpkeys/mcpkeys/internal/app/wording"
	"github.com/mcpkeys/mcpkeys/internal/base/wire"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/verifier"
)

type verifyFlags struct {
	scopes       []string
	audience, ip string
}

func newVerify(a *app) *cobra.Command {
	f := &verifyFlags{}
	cmd := &cobra.Command{
		Use:     "verify -",
		Short:   "Check a key that is read from standard input",
		GroupID: groupKeys,
		Long: `Check a key as a guarded server would. The key is read from standard input,
never from an argument. On a terminal it is not shown while you type it; Enter
or Ctrl-D ends it, Ctrl-C cancels.

It prints valid and exits 0, or prints the reason and exits 3. Without
--audience it decides like a server without a name, which accepts only keys
without an audience.`,
		Example: `  keyctl verify - --scope tools:get_forecast <key.txt
  if pass show ci-key | keyctl verify - >/dev/null; then echo valid; fi`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 || args[0] != "-" {
				return usagef("verify reads the key from standard input, never from an argument: keyctl verify - <FILE")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			call, err := f.call()
			if err != nil {
				return err
			}
			d, err := a.verify(cmd.Context(), call, f.scopes)
			if err != nil {
				return err
			}
			return a.printDecision(d)
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	listVar(flags, &f.scopes, "scope", "check that it is granted this `SCOPE`")
	flags.StringVar(&f.audience, "audience", "", "check it for this `SERVER`")
	flags.StringVar(&f.ip, "ip", "", "check it as if it came from this `ADDRESS`")
	formats(cmd, formatTable, formatJSON)
	return cmd
}

func (f *verifyFlags) call() (verifier.Call, error) {
	call := verifier.Call{Audience: f.audience}
	for _, s := range f.scopes {
		if err := keys.ValidateRequired(s); err != nil {
			return call, err
		}
	}
	if f.audience != "" {
		if err := keys.ValidateAudience(f.audience); err != nil {
			return call, err
		}
	}
	if f.ip != "" {
		ip, err := netip.ParseAddr(f.ip)
		if err != nil {
			return call, usagef("--ip takes one address, such as 10.0.0.7 or 2001:db8::1")
		}
		call.ClientIP = ip
	}
	return call, nil
}

func (a *app) verify(ctx context.Context, call verifier.Call, required []string) (d keys.Decision, err error) {
	s, err := a.settings()
	if err != nil {
		return d, err
	}
	token, err := a.readKey(ctx)
	if err != nil {
		return d, err
	}
	if code := keys.Unfit(token); code != "" { // this needs no key store, so none is opened
		return keys.Decision{Code: code, Flaw: keys.Flaw(token)}, nil
	}
	checker, err := s.Checker(ctx)
	if err != nil {
		return d, err
	}
	defer func() { err = errors.Join(err, checker.Close()) }()
	d = checker.Check(ctx, token, call, required...)
	if d.Code == keys.CodeNotFound || d.Code == keys.CodeMalformed {
		d.Flaw = keys.Flaw(token)
	}
	return d, nil
}

// maxInput is longer than any key, in bytes. The rest is not read.
const maxInput = 1024

// readKey removes the line end of its input, and nothing else.
func (a *app) readKey(ctx context.Context) (string, error) {
	if a.canAsk() {
		return askHidden(ctx, "key: ")
	}
	text, err := interruptible(ctx, func() ([]byte, error) { return io.ReadAll(io.LimitReader(a.stdin, maxInput)) })
	if ctx.Err() != nil {
		return "", err
	}
	if err != nil {
		return "", usagef("standard input cannot be read; give the key there: keyctl verify - <FILE")
	}
	line, ended := strings.CutSuffix(string(text), "\n")
	if ended {
		line = strings.TrimSuffix(line, "\r")
	}
	return line, nil
}

// reasons explain the codes to the user of the key store; a guarded server tells its callers
// less.
var reasons = map[keys.Code]string{
	keys.CodeNoCredential:      "standard input is empty",
	keys.CodeMalformed:         "not a valid key: check for missing, extra or wrong characters",
	keys.CodeNotFound:          "this key store never issued this key",
	keys.CodeRevoked:           "the key is revoked",
	keys.CodeDisabled:          "the key is disabled",
	keys.CodeExpired:           "the key has expired",
	keys.CodeWrongKind:         "this is an admin key, which no guarded server accepts",
	keys.CodeWrongAudience:     "the key is not for the server that --audience names",
	keys.CodeIPNotAllowed:      "the key may not be used from the address that --ip names",
	keys.CodeInsufficientScope: "the key is valid, but was not granted this scope",
}

// flawed says why a text is not a key.
func flawed(flaw string) string {
	if flaw == "" {
		return ""
	}
	return "not a valid key: the text " + flaw
}

// verifiedJSON is a decision as scripts read it.
type verifiedJSON struct {
	api.Verification
	Flaw string `json:"flaw,omitempty"` // why the text is not a key, if that is known
}

func (a *app) printDecision(d keys.Decision) error {
	if d.Code == keys.CodeUnavailable {
		return a.undecided(d)
	}
	if a.output == formatJSON {
		if err := a.printJSON(verifiedJSON{wire.Verification(d), d.Flaw}); err != nil {
			return err
		}
	} else if err := a.print(string(d.Code) + "\n"); err != nil {
		return err
	}
	if d.Valid() {
		if d.Newer && a.output != formatJSON {
			a.say("note: secret %d ends %s; the key has a newer one", d.Secret, a.when(d.Ends))
		}
		return nil
	}
	if why := a.reason(d); why != "" && a.output != formatJSON {
		a.say("%s: %s", a.name(), why)
	}
	return &notValidError{d.Code}
}

// reason says why a key is not valid, and what it lacks if that is known.
func (a *app) reason(d keys.Decision) string {
	why := reasons[d.Code]
	switch {
	case d.Flaw != "":
		return flawed(d.Flaw)
	case d.Code == keys.CodeSuperseded:
		return fmt.Sprintf("this is secret %d of key %s; a rotation ended it at %s, and the key has a newer secret", d.Secret, wording.Clean(d.KeyID), a.when(d.Ends))
	case d.Lacks == nil:
	case d.Code == keys.CodeInsufficientScope && len(d.Lacks.Missing) > 0:
		return "the key is valid, but was not granted " + wording.Clean(strings.Join(d.Lacks.Missing, ", "))
	case d.Code == keys.CodeWrongAudience && len(d.Lacks.Offered) > 0:
		return why + "; it is for " + wording.Clean(strings.Join(d.Lacks.Offered, ", "))
	}
	return why
}

// undecided reports that the key could not be checked: the store failed, or the row was
// changed outside mcpkeys.
func (a *app) undecided(d keys.Decision) error {
	if a.output != formatJSON {
		if err := a.print(string(d.Code) + "\n"); err != nil {
			return err
		}
	}
	if errors.Is(d.Cause, keys.ErrTampered) {
		return a.tampered(&keys.Key{ID: d.KeyID}, keys.ErrTampered)
	}
	return fmt.Errorf("key %s could not be checked: %w", wording.Clean(d.KeyID), d.Cause)
}

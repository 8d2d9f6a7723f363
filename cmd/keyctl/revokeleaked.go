package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/verifier"
)

// leaked reads a key from standard input and finds whose it is. Its id alone is not
// believed: somebody who wants a key revoked that is not his could make one up.
func (a *app) leaked(ctx context.Context, m keys.Manager) (_ *target, err error) {
	token, err := a.readKey(ctx)
	if err != nil {
		return nil, err
	}
	if token == "" {
		return nil, usagef("nothing came on standard input; feed the key to it: keyctl revoke - <FILE")
	}
	s, err := a.settings()
	if err != nil {
		return nil, err
	}
	checker, err := s.Checker(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, checker.Close()) }()
	d := checker.Check(ctx, token, verifier.Call{})
	switch d.Code {
	case keys.CodeMalformed, keys.CodeNoCredential:
		why := "that is no whole key"
		if flaw := keys.Flaw(token); flaw != "" {
			why += ": the text " + flaw
		}
		return nil, fmt.Errorf("%w: %s; if its id is known, the 12 characters after the first _, revoke that", keys.ErrNotFound, why)
	case keys.CodeSuperseded:
		return nil, &supersededError{fmt.Sprintf("secret %d of key %s ended %s, by a rotation: no guard accepts it, so nothing was revoked; "+
			"if the key's newer secret may have leaked too, run `%s`", d.Secret, d.KeyID, a.when(d.Ends), a.command("revoke", d.KeyID))}
	case keys.CodeNotFound:
		return nil, fmt.Errorf("%w: this key store never issued it, so nothing was revoked", keys.ErrNotFound)
	}
	t := &target{}
	if t.key, t.err = m.Key(ctx, d.KeyID); errors.Is(t.err, keys.ErrTampered) && t.key != nil {
		t.err, t.note = nil, noteTampered
	}
	if t.err == nil && d.Code == keys.CodeUnavailable && t.note == "" {
		t.err = d.Cause
	}
	return t, t.err
}

// supersededError ends revoke - when what leaked is a secret that no guard accepts any
// more, of a key that is good.
type supersededError struct{ text string }

func (e *supersededError) Error() string { return e.text }

package connect

import (
	"cmp"
	"context"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/mcpkeys/mcpkeys/admin/api"
	"github.com/mcpkeys/mcpkeys/admin/client"
	"github.com/mcpkeys/mcpkeys/internal/base/infile"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/verifier"
)

// maxKeyFile is larger than a file with one key, in bytes.
const maxKeyFile = 1024

func (s Settings) client(ctx context.Context) (*client.Client, error) {
	key, err := s.adminKey(ctx)
	if err != nil {
		return nil, err
	}
	c, err := client.New(s.Server, key, &client.Options{InsecureHTTP: s.InsecureHTTP, ServerUser: s.ServerUser})
	if bad := (*keys.InvalidError)(nil); errors.As(err, &bad) && bad.Field == "admin key" {
		setting := "KEYCTL_ADMIN_KEY"
		if s.AdminKeyFile != "" {
			setting = "KEYCTL_ADMIN_KEY_FILE"
		}
		return nil, &keys.InvalidError{Field: setting, Reason: "must hold an admin key, which begins with mcpa_; check for missing or extra characters"}
	}
	return c, err
}

// adminKey reads the admin key. The file is preferred: every program that the user starts can
// read a variable.
func (s Settings) adminKey(ctx context.Context) (keys.Secret, error) {
	if s.AdminKeyFile == "" {
		return s.AdminKey, whole("KEYCTL_ADMIN_KEY", s.AdminKey.Reveal())
	}
	bad := &keys.InvalidError{Field: "KEYCTL_ADMIN_KEY_FILE", Reason: "must name a file that you may read and that holds only the admin key"}
	f, err := infile.Open(ctx, s.AdminKeyFile)
	if err != nil {
		return keys.Secret{}, bad
	}
	defer func() { _ = f.Close() }() // it was only read
	text, err := io.ReadAll(io.LimitReader(f, maxKeyFile))
	switch {
	case ctx.Err() != nil:
		return keys.Secret{}, ctx.Err()
	case err != nil:
		return keys.Secret{}, bad
	}
	line, ended := strings.CutSuffix(string(text), "\n")
	if ended {
		line = strings.TrimSuffix(line, "\r")
	}
	return keys.NewSecret(line), whole("KEYCTL_ADMIN_KEY_FILE", line)
}

// whole refuses a text that is almost a key. The error names the setting and what is wrong.
func whole(setting, text string) error {
	if flaw := keys.Flaw(text); flaw != "" {
		return &keys.InvalidError{Field: setting, Reason: "does not hold a valid key: the text " + flaw}
	}
	return nil
}

// remoteCheck checks keys through the server, imported ones too. A text that cannot be a token
// is not sent: it may be another secret.
func remoteCheck(c *client.Client) func(context.Context, string, verifier.Call, []string) keys.Decision {
	return func(ctx context.Context, token string, call verifier.Call, required []string) keys.Decision {
		if code := keys.Unfit(token); code != "" {
			return keys.Decision{Code: code}
		}
		t, _ := keys.ParseToken(token) // the zero Token for an imported one
		req := api.VerifyRequest{Key: token, Audience: call.Audience, Scopes: required}
		if call.ClientIP.IsValid() {
			req.ClientIP = call.ClientIP.String()
		}
		answer, err := c.Verify(ctx, req)
		if err != nil {
			return keys.Decision{Code: keys.CodeUnavailable, KeyID: t.ID(), Cause: err}
		}
		return decision(answer, req, cmp.Or(t.Kind(), keys.KindKey))
	}
}

// decision turns the server's answer into a Decision. The burst of a limit is missing in the
// answer.
func decision(answer api.Verification, req api.VerifyRequest, kind keys.Kind) keys.Decision {
	d := keys.Decision{
		Code: keys.Code(answer.Code), KeyID: answer.KeyID, RetryAfter: time.Duration(answer.RetryAfter) * time.Second,
	}
	if r := answer.RateLimit; r != nil {
		d.Limit = keys.RateLimit{Count: r.Limit, Window: time.Duration(r.Window) * time.Second}
		d.Remaining, d.Reset = r.Remaining, time.Duration(r.Reset)*time.Second
	}
	if d.Code == keys.CodeUnavailable {
		d.Cause = keys.ErrUnavailable
		if answer.Tampered {
			d.Cause = keys.ErrTampered
		}
	}
	if s := answer.Secret; s != nil {
		d.Secret, d.Newer = s.Number, s.Superseded && answer.Valid
		if s.EndsAt != nil {
			d.Ends = *s.EndsAt
		}
	}
	switch d.Code {
	case keys.CodeInsufficientScope:
		d.Lacks = &keys.Lack{Required: req.Scopes, Missing: answer.Missing}
	case keys.CodeWrongAudience:
		d.Lacks = &keys.Lack{Audience: req.Audience, Offered: answer.Offered}
	}
	if !answer.Valid {
		return d
	}
	if answer.Key == nil {
		return keys.Decision{
			Code: keys.CodeUnavailable, KeyID: answer.KeyID,
			Cause: errors.New("the server's answer does not say which key it is; use keyctl of the server's version"),
		}
	}
	k := &keys.Key{
		ID: answer.Key.ID, Kind: kind, Name: answer.Key.Name, Owner: answer.Key.Owner,
		Scopes: answer.Key.Scopes, Metadata: answer.Key.Metadata,
	}
	if answer.Key.ExpiresAt != nil {
		k.ExpiresAt = *answer.Key.ExpiresAt
	}
	var err error
	if d.Identity, err = keys.NewIdentity(k); err != nil {
		return keys.Decision{
			Code: keys.CodeUnavailable, KeyID: answer.KeyID,
			Cause: errors.New("the server returned scopes that this version cannot read; use keyctl of the server's version"),
		}
	}
	return d
}

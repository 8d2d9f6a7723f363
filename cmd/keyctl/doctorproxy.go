package main

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/internal/app/connect"
	"github.com/mcpkeys/mcpkeys/internal/app/doctor"
	"github.com/mcpkeys/mcpkeys/internal/app/proxycheck"
	"github.com/mcpkeys/mcpkeys/internal/app/wording"
	"github.com/mcpkeys/mcpkeys/internal/base/infile"
	"github.com/mcpkeys/mcpkeys/keys"
)

// proxyFlags are those of doctor --proxy.
type proxyFlags struct {
	url, audience, scope, behind, key string
}

func (f *proxyFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.url, "proxy", "", "check the proxy at this `URL`, which asks keyctl serve about keys")
	flags.StringVar(&f.audience, "audience", "", "with --proxy: make keys for this `SERVER`, revoked at the end")
	flags.StringVar(&f.scope, "scope", "", "with --audience: the `SCOPE` in the proxy's URL of /v1/forward-auth")
	flags.StringVar(&f.behind, "behind", "", "with --proxy: listen on this `ADDRESS` in place of the MCP server")
	flags.StringVar(&f.key, "key", "", "with --proxy: try the valid key in this `FILE`; - is standard input")
}

func (f *proxyFlags) check() error {
	switch {
	case f.url == "" && (f.audience != "" || f.scope != "" || f.behind != "" || f.key != ""):
		return usagef("--audience, --scope, --behind and --key go with --proxy")
	case f.audience != "" && f.key != "":
		return usagef("use --audience, which makes keys, or --key, not both")
	case f.scope != "" && f.audience == "":
		return usagef("--scope goes with --audience")
	}
	if f.audience != "" {
		if err := keys.ValidateAudience(f.audience); err != nil {
			return err
		}
	}
	if f.scope != "" {
		return keys.ValidateRequired(f.scope)
	}
	return nil
}

// doctorProxy examines a proxy, with keys that it makes, with one of the user, or with none.
func (a *app) doctorProxy(ctx context.Context, f *proxyFlags) (err error) {
	s := proxycheck.Subject{URL: f.url}
	if err := s.Check(); err != nil {
		return err
	}
	if s.IsPlain() && !a.insecureHTTP && (f.audience != "" || f.key != "") {
		return usagef("--proxy is plain HTTP to another machine, and the network could read the keys; use https, or --insecure-http")
	}
	if f.key != "" {
		if s.Keys.Valid, err = a.validKey(ctx, f.key); err != nil {
			return err
		}
	}
	if f.behind != "" {
		s.Behind, err = new(net.ListenConfig).Listen(ctx, "tcp", f.behind)
		if err != nil {
			return usagef("--behind cannot listen there (%v); stop the MCP server, and name its address and port", listenFault(err))
		}
		defer func() { _ = s.Behind.Close() }() // Examine closed it, unless something failed before
	}
	examine := func() error {
		return a.findings(func(tell func(doctor.Finding)) (doctor.State, error) { return proxycheck.Examine(ctx, s, tell) })
	}
	if f.audience == "" {
		return examine()
	}
	return a.withAdmin(ctx, func(m *connect.Admin) (err error) {
		made := &trialKeys{admin: m}
		defer func() { err = errors.Join(err, made.revokeAll(context.WithoutCancel(ctx))) }()
		if err := made.issue(ctx, f, &s); err != nil {
			return err
		}
		a.say("Made %s for %s. They are revoked at the end.", wording.Counted(len(made.ids), "key", "keys"), "10 minutes")
		return examine()
	})
}

func listenFault(err error) error {
	if op := (*net.OpError)(nil); errors.As(err, &op) {
		return op.Err
	}
	return err
}

// validKey reads a key from a file, or from standard input.
func (a *app) validKey(ctx context.Context, path string) (keys.Secret, error) {
	var text string
	if path == "-" {
		var err error
		if text, err = a.readKey(ctx); err != nil {
			return keys.Secret{}, err
		}
	} else {
		file, err := infile.Open(ctx, path)
		if err != nil {
			return keys.Secret{}, usagef("--key cannot be read (%v); name a file that holds only the key", bare(err))
		}
		defer func() { _ = file.Close() }() // it was only read
		all, err := io.ReadAll(io.LimitReader(file, maxInput))
		if ctx.Err() != nil {
			return keys.Secret{}, ctx.Err()
		}
		if err != nil {
			return keys.Secret{}, usagef("--key cannot be read (%v); name a file that holds only the key", bare(err))
		}
		text = strings.TrimSuffix(strings.TrimSuffix(string(all), "\n"), "\r")
	}
	if flaw := keys.Flaw(text); flaw != "" {
		return keys.Secret{}, usagef("--key does not hold a valid key: the text %s", flaw)
	}
	if code := keys.Unfit(text); code != "" {
		return keys.Secret{}, usagef("--key does not hold a valid key: check for missing or extra characters")
	}
	return keys.NewSecret(text), nil
}

// trialKeys are keys for one examination.
type trialKeys struct {
	admin admin.Manager
	ids   []string
}

// trialLife ends the keys if they cannot be revoked.
const trialLife = "10m"

// issue makes the keys of s.
func (t *trialKeys) issue(ctx context.Context, f *proxyFlags, s *proxycheck.Subject) error {
	expires, err := keys.ParseExpiry(trialLife)
	if err != nil {
		return err
	}
	run := strings.ToLower(rand.Text()[:8])
	var scopes []string
	if f.scope != "" {
		scopes = []string{f.scope}
	}
	issue := func(into *keys.Secret, name string, req admin.IssueRequest) error {
		req.Name, req.Expires = "doctor-"+name+"-"+run, expires
		if into != &s.Keys.Bare {
			req.Owner = "keyctl doctor"
		}
		issued, err := t.admin.Issue(ctx, req)
		if err != nil {
			return err
		}
		t.ids = append(t.ids, issued.Key.ID)
		*into = issued.Token
		return nil
	}
	here := []string{f.audience}
	if err := issue(&s.Keys.Valid, "valid", admin.IssueRequest{Audience: here, Scopes: scopes}); err != nil {
		return err
	}
	valid := t.ids[0]
	s.Revoke = func(ctx context.Context) error {
		_, err := t.admin.Revoke(ctx, valid, "doctor --proxy")
		return err
	}
	if err := issue(&s.Keys.Limited, "limited", admin.IssueRequest{
		Audience: here, Scopes: scopes, RateLimit: keys.RateLimit{Count: 1, Window: time.Hour, Burst: 1},
	}); err != nil {
		return err
	}
	if err := issue(&s.Keys.Bare, "bare", admin.IssueRequest{Audience: here, Scopes: scopes}); err != nil {
		return err
	}
	if f.scope != "" {
		if err := issue(&s.Keys.Narrow, "narrow", admin.IssueRequest{Audience: here}); err != nil {
			return err
		}
	}
	for _, optional := range []struct {
		into       *keys.Secret
		name       string
		req        admin.IssueRequest
		check, why string
	}{
		{
			&s.Keys.Bound, "bound",
			admin.IssueRequest{Audience: here, Scopes: scopes, AllowedIPs: s.OtherAddresses(ctx)},
			proxycheck.CheckAddress, "your admin key may not issue a key for other client addresses",
		},
		{
			&s.Keys.Elsewhere, "elsewhere",
			admin.IssueRequest{Audience: []string{"doctor-" + run}, Scopes: scopes},
			proxycheck.CheckAudience, "your admin key may not issue a key for another server",
		},
		{
			&s.Keys.Admin, "admin",
			admin.IssueRequest{Kind: keys.KindAdmin, Scopes: []string{keys.ScopeVerify}, Audience: here},
			proxycheck.CheckAdmin, "your admin key may not issue an admin key",
		},
	} {
		err := issue(optional.into, optional.name, optional.req)
		if errors.Is(err, keys.ErrDenied) {
			s.Left = append(s.Left, proxycheck.Left{Check: optional.check, Why: optional.why, Fix: "use an admin key that may, or run doctor beside the key store"})
			continue
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// revokeTime is how long a revocation at the end may take.
const revokeTime = 30 * time.Second

func (t *trialKeys) revokeAll(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, revokeTime)
	defer cancel()
	var errs []error
	for _, id := range t.ids {
		if _, err := t.admin.Revoke(ctx, id, "doctor --proxy"); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// Package verifyroutes has the route of package verifyapi, and those for verifiers on other
// hosts (package protocol). [Mount] and [MountLeases] add them to an API; `keyctl serve` mounts
// both beside the routes of package keyroutes.
//
// For POST /v1/verify package verifier decides, and counts the call against the key's rate
// limit, as for a guard. A verifier on another host decides itself: these routes only prove
// tokens, and say which keys changed.
package verifyroutes

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/admin/api"
	"github.com/mcpkeys/mcpkeys/internal/base/restapi"
	"github.com/mcpkeys/mcpkeys/internal/base/wire"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/requestid"
	"github.com/mcpkeys/mcpkeys/verifier"
)

// Lease is how long the answer for a valid key may be kept.
const Lease = time.Minute

// Options configures [Mount]. Nil and the zero value are valid.
type Options struct {
	Logger *slog.Logger     // gets the checks that failed; nil discards
	Now    func() time.Time // nil means time.Now

	// HandedOut is called before a key is looked up, with the moment up to which the answer
	// may be kept. If it reports false, the answer must not be kept. Nil: nothing has to know.
	HandedOut func(until time.Time) bool
}

// Mount adds the verification of keys by v to a.
func Mount(a *restapi.API, v *verifier.Verifier, o *Options) {
	s := &service{verifier: v, logger: slog.New(slog.DiscardHandler), now: time.Now} //nolint:forbidigo // the default clock
	if o != nil && o.Logger != nil {
		s.logger = o.Logger
	}
	if o != nil && o.Now != nil {
		s.now = o.Now
	}
	if o != nil {
		s.handedOut = o.HandedOut
	}
	restapi.Register(a, huma.Operation{
		OperationID: "verifyKey", Method: http.MethodPost, Path: "/v1/verify", Tags: []string{"verification"},
		Summary: "Verify a key",
		Description: "The answer is 200 for any key: look at valid. A caller whose own key has an audience can verify keys for that audience only; " +
			"if that is a single server, audience may be left out. 429 is about the caller, not the key: " +
			"too many unknown keys from this client_ip, or too many calls of this caller.",
		Security: restapi.AdminKey(keys.ScopeVerify),
		Errors: []int{
			http.StatusRequestTimeout, http.StatusRequestEntityTooLarge,
			http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity,
		},
	}, s.verify)
}

type service struct {
	verifier *verifier.Verifier
	logger   *slog.Logger
	now      func() time.Time

	handedOut func(until time.Time) bool // may be nil
}

type input struct{ Body api.VerifyRequest }

type output struct{ Body api.Verification }

func (s *service) verify(ctx context.Context, in *input) (*output, error) {
	call, err := call(ctx, &in.Body)
	if err != nil {
		return nil, err
	}
	until, kept := s.announce()
	d := s.verifier.Authorize(s.verifier.Authenticate(ctx, in.Body.Key, call), call, in.Body.Scopes...)
	if d.Code == keys.CodeRateLimited && d.Limit.IsZero() {
		return nil, &restapi.WaitError{For: d.RetryAfter, Detail: "Too many unknown keys from this client_ip."}
	}
	if d.Code == keys.CodeUnavailable {
		s.logger.LogAttrs(ctx, slog.LevelError, "key could not be checked",
			slog.String("key_id", d.KeyID), slog.String("request_id", requestid.From(ctx)), slog.Any("error", d.Cause))
	}
	out := &output{wire.Verification(d)}
	if d.Valid() && kept {
		out.Body.Lease = lease(until, d.Ends)
	}
	return out, nil
}

// announce publishes until when the answer may be kept, before the key is looked up: a change
// that this look does not see comes later, and its program finds the moment. It reports whether
// the answer may be kept.
func (s *service) announce() (until time.Time, kept bool) {
	until = s.now().UTC().Add(Lease).Truncate(time.Microsecond)
	return until, s.handedOut == nil || s.handedOut(until)
}

// call returns what is asked about the key, within the caller's own rights.
func call(ctx context.Context, body *api.VerifyRequest) (verifier.Call, error) {
	for _, scope := range body.Scopes {
		if err := keys.ValidateRequired(scope); err != nil {
			return verifier.Call{}, err
		}
	}
	if body.Audience != "" {
		if err := keys.ValidateAudience(body.Audience); err != nil {
			return verifier.Call{}, err
		}
	}
	out := verifier.Call{Kind: keys.KindKey}
	if body.ClientIP != "" {
		ip, err := netip.ParseAddr(body.ClientIP)
		if err != nil {
			return out, &keys.InvalidError{Field: "client_ip", Reason: "must be one address, such as 10.0.0.7 or 2001:db8::1"}
		}
		out.ClientIP = ip
	}
	caller, _ := keys.IdentityFrom(ctx)
	out.Caller = caller.KeyID()
	var err error
	out.Audience, err = admin.Restrict(nil, caller, nil).Audience(body.Audience)
	return out, err
}

// lease ends at until, or when the key expires, or the grace of its secret.
func lease(until, expires time.Time) *time.Time {
	if !expires.IsZero() && expires.Before(until) {
		until = expires
	}
	return &until
}

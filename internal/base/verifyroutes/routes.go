// Package verifyroutes is what the API of package verifyapi does. [Mount] adds its route to
// an API; `keyctl serve` mounts it beside those of package keyroutes.
//
// The decision is that of package verifier, and counts against the key's rate limit like a
// guard's.
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
	"github.com/mcpkeys/mcpkeys/verifier"
)

// Lease is how long a good answer may be kept.
const Lease = time.Minute

// Options configures [Mount]. Nil and the zero value are ready for use.
type Options struct {
	Logger *slog.Logger     // hears of checks that could not be made; nil discards
	Now    func() time.Time // nil means time.Now
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
	restapi.Register(a, huma.Operation{
		OperationID: "verifyKey", Method: http.MethodPost, Path: "/v1/verify", Tags: []string{"verification"},
		Summary: "Is this key good, here and now, for this?",
		Description: "Always 200, whatever the key: look at valid. A caller whose own key has an audience checks keys for that audience only; " +
			"where it is a single one, it need not be named. 429 is about asking, not about the key: " +
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
}

type input struct{ Body api.VerifyRequest }

type output struct{ Body api.Verification }

func (s *service) verify(ctx context.Context, in *input) (*output, error) {
	call, err := call(ctx, &in.Body)
	if err != nil {
		return nil, err
	}
	d := s.verifier.Authorize(s.verifier.Authenticate(ctx, in.Body.Key, call), call, in.Body.Scopes...)
	if d.Code == keys.CodeRateLimited && d.Limit.IsZero() {
		return nil, &restapi.WaitError{For: d.RetryAfter, Detail: "Too many unknown keys from this client_ip."}
	}
	if d.Code == keys.CodeUnavailable {
		s.logger.LogAttrs(ctx, slog.LevelError, "key could not be checked",
			slog.String("key_id", d.KeyID), slog.String("request_id", keys.RequestIDFrom(ctx)), slog.Any("error", d.Cause))
	}
	return &output{s.verification(d)}, nil
}

// call is what is asked of the key, within what the caller may ask.
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

func (s *service) verification(d keys.Decision) api.Verification {
	out := wire.Verification(d)
	if d.Valid() {
		out.Lease = s.lease(d.Ends)
	}
	return out
}

// lease ends with the key, or with the grace of its secret.
func (s *service) lease(expires time.Time) *time.Time {
	until := s.now().UTC().Add(Lease).Truncate(time.Microsecond)
	if !expires.IsZero() && expires.Before(until) {
		until = expires
	}
	return &until
}

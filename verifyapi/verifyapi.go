// Package verifyapi is for programs that do not link Go, or do not see the key store:
// they send the key that was presented to them and hear whether it is good.
//
// [Mount] adds POST /v1/verify to an API; internal/server does, and `keyctl serve`
// runs it. The decision is that of package verifier, the very one that guards make,
// and counts against the key's rate limit like one.
//
// Callers hold an admin key with the scope verify. Where such a key has an audience,
// it may have keys checked for that audience only. The answer to a key that is not
// good names the true reason: whoever guards a server must be able to log it, and
// should not pass it on.
//
// The package refuses to read a key from anywhere but the body, and to answer
// anything but 200 about a key: a status of its own would be mistaken for one about
// the caller.
package verifyapi

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"net/http"
	"net/netip"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mcpkeys/mcpkeys/admin/api"
	"github.com/mcpkeys/mcpkeys/internal/restapi"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/verifier"
)

// Mount adds the verification of keys by v to a. The logger hears of checks that
// could not be made; nil discards.
func Mount(a *restapi.API, v *verifier.Verifier, logger *slog.Logger) {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	s := &service{verifier: v, logger: logger}
	restapi.Register(a, huma.Operation{
		OperationID: "verifyKey", Method: http.MethodPost, Path: "/v1/verify", Tags: []string{"verification"},
		Summary: "Is this key good, here and now, for this?",
		Description: "Always 200, whatever the key: look at valid. A caller whose own key has an audience checks keys for that audience only; " +
			"where it is a single one, it need not be named.",
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
}

type input struct{ Body api.VerifyRequest }

type output struct{ Body api.Verification }

func (s *service) verify(ctx context.Context, in *input) (*output, error) {
	call, err := call(ctx, &in.Body)
	if err != nil {
		return nil, err
	}
	d := s.verifier.Authenticate(ctx, in.Body.Key, call).Authorize(in.Body.Scopes...)
	if d.Code == keys.CodeUnavailable {
		s.logger.LogAttrs(ctx, slog.LevelError, "key could not be checked",
			slog.String("key_id", d.KeyID), slog.String("request_id", keys.RequestIDFrom(ctx)), slog.Any("error", d.Cause))
	}
	return &output{verification(d)}, nil
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
	var err error
	out.Audience, err = keys.NewDelegate(nil, caller, nil).Audience(body.Audience)
	return out, err
}

func verification(d keys.Decision) api.Verification {
	out := api.Verification{
		Valid: d.Valid(), Code: string(d.Code), KeyID: d.KeyID,
		RetryAfter: int(math.Ceil(d.RetryAfter.Seconds())), Tampered: errors.Is(d.Cause, keys.ErrTampered),
	}
	if !d.Valid() {
		return out
	}
	out.Name, out.Owner, out.Scopes = d.Identity.Name(), d.Identity.Owner(), d.Identity.Scopes()
	if at := d.Identity.ExpiresAt(); !at.IsZero() {
		out.ExpiresAt = &at
	}
	return out
}

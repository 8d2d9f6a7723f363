// Package verifyroutes has the routes of package verifyapi, and those for verifiers on other
// hosts (package protocol). [Mount] and [MountLeases] add them to an API; `keyctl serve` mounts
// both beside the routes of package keyroutes.
//
// For verification and introspection package verifier decides, and counts the call against the key's rate
// limit, as for a guard. A verifier on another host decides itself: these routes only prove
// tokens, and say which keys changed.
package verifyroutes

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/admin/api"
	"github.com/mcpkeys/mcpkeys/internal/base/forwardauth"
	"github.com/mcpkeys/mcpkeys/internal/base/protocol"
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
	s := &service{api: a, verifier: v, logger: slog.New(slog.DiscardHandler), now: time.Now} //nolint:forbidigo // the default clock
	if o != nil && o.Logger != nil {
		s.logger = o.Logger
	}
	if o != nil && o.Now != nil {
		s.now = o.Now
	}
	if o != nil {
		s.handedOut = o.HandedOut
	}
	restapi.RegisterPlain[restapi.Body[api.VerifyRequest], restapi.Body[api.Verification]](a,
		operation("verifyKey", pathVerify, "Verify a key",
			"The answer is 200 for any key: look at valid. A caller whose own key has an audience can verify keys for that audience only; "+
				"if that is a single server, audience may be left out. One call with ask answers for a whole list of tools, and counts once. "+
				"429 is about the caller, not the key: too many unknown keys from this client_ip, or too many calls of this caller."),
		restapi.Answering(a, s.verify, wire.AppendVerification, "key"))
	restapi.RegisterPlain[restapi.Body[api.VerifyBatchRequest], restapi.Body[api.Verifications]](a,
		operation("verifyKeys", pathBatch, "Verify several keys",
			"At most 100 checks, each as for one key, and each counted. If one of them cannot be asked, none is made, and errors names it by its number, from 0: checks[3].key."),
		restapi.Answering(a, s.batch, wire.AppendVerifications, "checks"))
	s.mountIntrospection()
	mountForwardAuth(a)
}

// Is reports whether r is for one of the routes with which keys are verified: those of [Mount]
// and [MountLeases], except the list of verifiers.
func Is(r *http.Request) bool {
	switch r.URL.Path {
	case pathVerify, pathBatch, pathIntrospect,
		protocol.PathLease, protocol.PathChanges, protocol.PathProve, protocol.PathKey, protocol.PathCounts:
		return true
	}
	return forwardauth.Is(r)
}

const (
	pathVerify     = "/v1/verify"
	pathBatch      = "/v1/verify/batch"
	pathIntrospect = "/v1/introspect"
)

func operation(id, path, summary, description string) huma.Operation {
	return huma.Operation{
		OperationID: id, Method: http.MethodPost, Path: path, Tags: []string{"verification"},
		Summary: summary, Description: description, Security: restapi.AdminKey(keys.ScopeVerify),
		Errors: []int{
			http.StatusRequestTimeout, http.StatusRequestEntityTooLarge,
			http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity,
		},
	}
}

type service struct {
	api      *restapi.API
	verifier *verifier.Verifier
	logger   *slog.Logger
	now      func() time.Time

	handedOut func(until time.Time) bool // may be nil
}

func (s *service) verify(ctx context.Context, in *api.VerifyRequest) (*api.Verification, error) {
	call, err := call(ctx, in)
	if err != nil {
		return nil, err
	}
	out := s.check(ctx, in, call)
	if out.Code == string(keys.CodeRateLimited) && out.RateLimit == nil {
		return nil, &restapi.WaitError{For: time.Duration(out.RetryAfter) * time.Second, Detail: tooManyUnknown}
	}
	return &out, nil
}

// batchRequest is an [api.VerifyBatchRequest] that tells a check without a key from one with an empty key.
type batchRequest struct {
	Checks []struct {
		Key               *string `json:"key"`
		api.VerifyRequest         // its Key is not read
	} `json:"checks"`
}

// batch refuses the whole request before the first check if one of them cannot be asked.
func (s *service) batch(ctx context.Context, in *batchRequest) (*api.Verifications, error) {
	if len(in.Checks) == 0 || len(in.Checks) > maxBatch {
		return nil, keys.Invalid("checks", "must be 1 to %d checks", maxBatch)
	}
	calls := make([]verifier.Call, len(in.Checks))
	for i := range in.Checks {
		if in.Checks[i].Key == nil {
			return nil, ofCheck(i, keys.Invalid("key", "is required"))
		}
		in.Checks[i].VerifyRequest.Key = *in.Checks[i].Key
		var err error
		if calls[i], err = call(ctx, &in.Checks[i].VerifyRequest); err != nil {
			return nil, ofCheck(i, err)
		}
	}
	out := &api.Verifications{Data: make([]api.Verification, len(in.Checks))}
	for i := range in.Checks {
		out.Data[i] = s.check(ctx, &in.Checks[i].VerifyRequest, calls[i])
	}
	return out, nil
}

// ofCheck names the check in an error about one of its members.
func ofCheck(i int, err error) error {
	if invalid := (*keys.InvalidError)(nil); errors.As(err, &invalid) {
		return &keys.InvalidError{Field: fmt.Sprintf("checks[%d].%s", i, invalid.Field), Reason: invalid.Reason}
	}
	return err
}

const (
	maxBatch = 100
	maxAsk   = 500
	maxCost  = 1_000_000

	tooManyUnknown = "Too many unknown keys from this client_ip."
)

// check decides about one key and counts the call.
func (s *service) check(ctx context.Context, in *api.VerifyRequest, call verifier.Call) api.Verification {
	d, until, kept := s.decide(ctx, in.Key, call, in.Scopes)
	out := wire.Verification(d)
	if !d.Valid() {
		return out
	}
	if len(in.Ask) > 0 {
		out.Allowed = make([]string, 0, len(in.Ask))
	}
	for _, scope := range in.Ask {
		if d.Identity.Allows(scope) {
			out.Allowed = append(out.Allowed, scope)
		} else {
			out.Missing = append(out.Missing, scope)
		}
	}
	if kept {
		out.Lease = &until
	}
	return out
}

// decide decides about a token. A positive answer may be kept until then, if kept is true.
func (s *service) decide(ctx context.Context, token string, call verifier.Call, scopes []string) (d keys.Decision, until time.Time, kept bool) {
	until, kept = s.announce()
	d = s.verifier.Authenticate(ctx, token, call)
	if len(scopes) > 0 {
		d = s.verifier.Authorize(d, call, scopes...)
	}
	if d.Code == keys.CodeUnavailable {
		s.logger.LogAttrs(ctx, slog.LevelError, "key could not be checked",
			slog.String("key_id", d.KeyID), slog.String("request_id", requestid.From(ctx)), slog.Any("error", d.Cause))
	}
	return d, keys.Earliest(until, d.Ends), kept
}

// announce publishes until when the answer may be kept, before the key is looked up: a change
// that this look does not see comes later, and its program finds the moment. It reports whether
// the answer may be kept.
func (s *service) announce() (until time.Time, kept bool) {
	until = s.now().UTC().Add(Lease).Truncate(time.Microsecond)
	return until, s.handedOut == nil || s.handedOut(until)
}

// call returns what is asked about the key, within the caller's own rights.
func call(ctx context.Context, in *api.VerifyRequest) (verifier.Call, error) {
	if len(in.Ask) > maxAsk || len(in.Scopes) > maxAsk {
		field := "ask"
		if len(in.Scopes) > maxAsk {
			field = "scopes"
		}
		return verifier.Call{}, keys.Invalid(field, "must be at most %d scopes", maxAsk)
	}
	if err := cmp.Or(literal("scopes", in.Scopes), literal("ask", in.Ask)); err != nil {
		return verifier.Call{}, err
	}
	if in.Cost < 0 || in.Cost > maxCost {
		return verifier.Call{}, keys.Invalid("cost", "must be between 0 and %d", maxCost)
	}
	out, err := callFor(ctx, in.Audience, in.ClientIP)
	out.Agent, out.Cost = in.Agent, in.Cost
	return out, err
}

// literal checks that list, the value of field, has scopes without wildcards.
func literal(field string, list []string) error {
	for _, scope := range list {
		err := keys.ValidateRequired(scope)
		if err == nil {
			continue
		}
		if invalid := (*keys.InvalidError)(nil); errors.As(err, &invalid) {
			return &keys.InvalidError{Field: field, Reason: invalid.Reason}
		}
		return err
	}
	return nil
}

// callFor is a call of the server audience by a client at that address; each may be empty.
func callFor(ctx context.Context, audience, ip string) (verifier.Call, error) {
	out := verifier.Call{Kind: keys.KindKey}
	if audience != "" {
		if err := keys.ValidateAudience(audience); err != nil {
			return out, err
		}
	}
	if ip != "" {
		parsed, err := netip.ParseAddr(ip)
		if err != nil {
			return out, &keys.InvalidError{Field: "client_ip", Reason: "must be one address, such as 10.0.0.7 or 2001:db8::1"}
		}
		out.ClientIP = parsed
	}
	caller, _ := keys.IdentityFrom(ctx)
	out.Caller = caller.KeyID()
	var err error
	out.Audience, err = admin.Restrict(nil, caller, nil).Audience(audience)
	return out, err
}

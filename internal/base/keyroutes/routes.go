// Package keyroutes is what the REST API for keys does: issue, list, show, edit, rotate,
// disable, enable and revoke them, read the audit log, and tell a caller about its own key.
// [Mount] adds the routes to an API.
//
// Admin/server serves them alone, `keyctl serve` beside the routes of package
// verifyroutes. A request acts through an [admin.Restricted], which lets an admin key do
// what it was granted and no more; there is no rule in here.
package keyroutes

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/admin/api"
	"github.com/mcpkeys/mcpkeys/internal/base/restapi"
	"github.com/mcpkeys/mcpkeys/internal/base/wire"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/audit"
	"github.com/mcpkeys/mcpkeys/store"
)

// Mount adds the operations on the keys of store to a.
func Mount(a *restapi.API, store store.Store, o *admin.Options) {
	s := &service{store: store, options: o}
	mountLooks(a, s)
	mountChanges(a, s)
}

func mountLooks(a *restapi.API, s *service) {
	restapi.Register(a, huma.Operation{
		OperationID: "listKeys", Method: http.MethodGet, Path: "/v1/keys", Tags: []string{"keys"},
		Summary:     "List keys, newest first",
		Description: "Conditions add up. Texts are compared as they are: % and _ and * mean themselves.",
		Security:    restapi.AdminKey(keys.ScopeKeysRead),
		Errors:      []int{http.StatusUnprocessableEntity},
	}, s.list)
	restapi.Register(a, huma.Operation{
		OperationID: "getKey", Method: http.MethodGet, Path: "/v1/keys/{id}", Tags: []string{"keys"},
		Summary:  "Show all about a key but its secret",
		Security: restapi.AdminKey(keys.ScopeKeysRead),
		Errors:   []int{http.StatusNotFound, http.StatusConflict},
	}, s.get)
	restapi.Register(a, huma.Operation{
		OperationID: "keyUsage", Method: http.MethodGet, Path: "/v1/keys/{id}/usage", Tags: []string{"keys"},
		Summary: "Show when and how often a key was used",
		Description: "Guards write counts down every five seconds, and a crash may lose as much. Counts are kept for 90 days, last uses for ever. " +
			"Of one key some hundred scopes an hour are counted each on its own.",
		Security: restapi.AdminKey(keys.ScopeKeysRead),
		Errors:   []int{http.StatusNotFound, http.StatusUnprocessableEntity},
	}, s.usage)
	restapi.Register(a, huma.Operation{
		OperationID: "listAudit", Method: http.MethodGet, Path: "/v1/audit", Tags: []string{"audit"},
		Summary: "Read the audit log, newest first",
		Description: "Conditions add up. Rows are shown as they are; whether they are still what was written is for `keyctl audit verify` " +
			"to say, beside the key store. Who may read the log sees all of it, whatever the caller's own audience.",
		Security: restapi.AdminKey(keys.ScopeAuditRead),
		Errors:   []int{http.StatusUnprocessableEntity},
	}, s.audit)
	restapi.Register(a, huma.Operation{
		OperationID: "listDenials", Method: http.MethodGet, Path: "/v1/denials", Tags: []string{"audit"},
		Summary: "Show what was refused lately, newest first",
		Description: "A sample for people to look at, a row a minute for each code, key, source and server, written by guards every five seconds; " +
			"no part of the audit log. Some thousand rows are kept.",
		Security: restapi.AdminKey(keys.ScopeAuditRead),
		Errors:   []int{http.StatusUnprocessableEntity},
	}, s.denials)
	restapi.Register(a, huma.Operation{
		OperationID: "whoami", Method: http.MethodGet, Path: "/v1/whoami", Tags: []string{"keys"},
		Summary:  "What the key that asks is and may do",
		Security: restapi.AnyKey(),
	}, s.whoami)
}

func mountChanges(a *restapi.API, s *service) {
	restapi.Register(a, huma.Operation{
		OperationID: "issueKey", Method: http.MethodPost, Path: "/v1/keys", Tags: []string{"keys"},
		Summary: "Make a key and show its secret, once",
		Description: "The new key never exceeds the caller's own audience and addresses: what is left out is inherited, what goes beyond is 403. " +
			"An ordinary key lives for the caller's max_key_life at most; an admin key ends no later than the caller. " +
			"Who may issue ordinary keys may act as any of them.",
		DefaultStatus: http.StatusCreated,
		Security:      restapi.AdminKey(keys.ScopeKeysWrite),
		Errors:        bodyErrors(http.StatusConflict),
	}, s.issue)
	restapi.Register(a, huma.Operation{
		OperationID: "revokeKey", Method: http.MethodPost, Path: "/v1/keys/{id}/revoke", Tags: []string{"keys"},
		Summary: "End a key for good, at once",
		Description: "When this returns, no guard accepts the key in a request that starts later. To revoke a revoked key changes nothing and succeeds. " +
			"Acting on an admin key takes all of its scopes.",
		Security: restapi.AdminKey(keys.ScopeKeysWrite),
		Errors:   bodyErrors(http.StatusNotFound, http.StatusPreconditionFailed),
	}, s.revoke)
	restapi.Register(a, huma.Operation{
		OperationID: "editKey", Method: http.MethodPatch, Path: "/v1/keys/{id}", Tags: []string{"keys"},
		Summary: "Change what is named, and nothing else",
		Description: "If-Match takes the ETag that the key was read with, and the edit fails with 412 when it was changed since. " +
			"The key must lie within the caller's limits, which are those for a new key, before and after. An expired key gets no new expiry.",
		Security: restapi.AdminKey(keys.ScopeKeysWrite),
		Errors:   bodyErrors(http.StatusNotFound, http.StatusConflict, http.StatusPreconditionFailed),
	}, s.edit)
	restapi.Register(a, huma.Operation{
		OperationID: "rotateKey", Method: http.MethodPost, Path: "/v1/keys/{id}/rotate", Tags: []string{"keys"},
		Summary: "Give a key a new secret, and show it, once",
		Description: "The old secret stays good for the grace, never past the key's own expiry. At most two secrets are valid: to rotate again " +
			"during the grace is 409, whose rotation tells the numbers for the two ways on. finish ends the old secret, replace ends the newest " +
			"and makes another; each takes the number of the secret that it ends, and any other number is 409. expires_in renews the key in the " +
			"same act. Disabled, expired and revoked keys do not rotate. The key must lie within the caller's limits, which are those for a new key.",
		Security: restapi.AdminKey(keys.ScopeKeysWrite),
		Errors:   bodyErrors(http.StatusNotFound, http.StatusConflict, http.StatusPreconditionFailed),
	}, s.rotate)
	restapi.Register(a, huma.Operation{
		OperationID: "disableKey", Method: http.MethodPost, Path: "/v1/keys/{id}/disable", Tags: []string{"keys"},
		Summary:     "Have a key refused until it is enabled",
		Description: "To disable a disabled key changes nothing and succeeds. Acting on an admin key takes all of its scopes.",
		Security:    restapi.AdminKey(keys.ScopeKeysWrite),
		Errors:      bodyErrors(http.StatusNotFound, http.StatusConflict, http.StatusPreconditionFailed),
	}, s.disable)
	restapi.Register(a, huma.Operation{
		OperationID: "enableKey", Method: http.MethodPost, Path: "/v1/keys/{id}/enable", Tags: []string{"keys"},
		Summary:     "Let a disabled key in again",
		Description: "To enable an enabled key changes nothing and succeeds. Acting on an admin key takes all of its scopes.",
		Security:    restapi.AdminKey(keys.ScopeKeysWrite),
		Errors:      bodyErrors(http.StatusNotFound, http.StatusConflict, http.StatusPreconditionFailed),
	}, s.enable)
}

func bodyErrors(further ...int) []int {
	return append(further, http.StatusRequestTimeout, http.StatusRequestEntityTooLarge,
		http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity)
}

type service struct {
	store   store.Store
	options *admin.Options
}

// manager acts in the name of whoever the guard let in, within his rights.
func (s *service) manager(ctx context.Context) (admin.Manager, error) {
	caller, _ := keys.IdentityFrom(ctx) // nobody may do nothing
	m, err := admin.NewLocal(s.store, audit.Actor("key:"+caller.KeyID()), s.options)
	if err != nil {
		return nil, err
	}
	return admin.Restrict(m, caller, s.options), nil
}

type whoamiOutput struct{ Body api.Whoami }

func (s *service) whoami(ctx context.Context, _ *struct{}) (*whoamiOutput, error) {
	caller, ok := keys.IdentityFrom(ctx)
	if !ok {
		return nil, keys.ErrDenied
	}
	d := restapi.Decision(ctx)
	return &whoamiOutput{api.Whoami{
		Secret: api.SecretUsed{Number: d.Secret, EndsAt: wire.Moment(d.Ends), Superseded: d.Newer},
		ID:     caller.KeyID(), Kind: string(caller.Kind()), Name: caller.Name(), Owner: caller.Owner(),
		Scopes: wire.List(caller.Scopes()), Audience: wire.List(caller.Audience()), ExpiresAt: wire.Moment(caller.ExpiresAt()),
	}}, nil
}

func (s *service) now() time.Time {
	if s.options != nil && s.options.Now != nil {
		return s.options.Now()
	}
	return time.Now() //nolint:forbidigo // the default clock
}

// Package keyroutes has the routes of the REST API for keys: issue, list, show, edit, rotate,
// disable, enable and revoke them, read the audit log, and tell a caller about its own key.
// [Mount] adds the routes to an API.
//
// Package admin/server serves them alone, `keyctl serve` beside the routes of package
// verifyroutes. A request acts through an [admin.Restricted], which lets an admin key do only
// what it was granted; there are no rules here.
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
		Description: "A key is listed if it matches every filter. Texts are compared exactly: %, _ and * have no special meaning.",
		Security:    restapi.AdminKey(keys.ScopeKeysRead),
		Errors:      []int{http.StatusUnprocessableEntity},
	}, s.list)
	restapi.Register(a, huma.Operation{
		OperationID: "getKey", Method: http.MethodGet, Path: "/v1/keys/{id}", Tags: []string{"keys"},
		Summary:     "Show a key, without its secret",
		Description: "The id may be that of a revoked key. The ETag is for If-Match of a change.",
		Security:    restapi.AdminKey(keys.ScopeKeysRead),
		Errors:      []int{http.StatusNotFound, http.StatusConflict},
	}, s.get)
	restapi.Register(a, huma.Operation{
		OperationID: "keyUsage", Method: http.MethodGet, Path: "/v1/keys/{id}/usage", Tags: []string{"keys"},
		Summary: "Show when and how often a key was used",
		Description: "Guards record counts every five seconds, so a crash may lose the last five seconds. Counts are kept for 90 days, last uses without limit. " +
			"For each key about a hundred scopes an hour are counted separately.",
		Security: restapi.AdminKey(keys.ScopeKeysRead),
		Errors:   []int{http.StatusNotFound, http.StatusUnprocessableEntity},
	}, s.usage)
	restapi.Register(a, huma.Operation{
		OperationID: "listAudit", Method: http.MethodGet, Path: "/v1/audit", Tags: []string{"audit"},
		Summary: "Read the audit log, newest first",
		Description: "The rows that match every filter. This does not check whether stored rows were changed; `keyctl audit verify` does, " +
			"on the machine of the key store. A caller who may read the log sees all of it, whatever its own audience.",
		Security: restapi.AdminKey(keys.ScopeAuditRead),
		Errors:   []int{http.StatusUnprocessableEntity},
	}, s.audit)
	restapi.Register(a, huma.Operation{
		OperationID: "listDenials", Method: http.MethodGet, Path: "/v1/denials", Tags: []string{"audit"},
		Summary: "Show recently refused requests, newest first",
		Description: "A sample, not part of the audit log: one row a minute for each code, key, source and server, recorded by guards every five seconds. " +
			"Some thousand rows are kept.",
		Security: restapi.AdminKey(keys.ScopeAuditRead),
		Errors:   []int{http.StatusUnprocessableEntity},
	}, s.denials)
	restapi.Register(a, huma.Operation{
		OperationID: "whoami", Method: http.MethodGet, Path: "/v1/whoami", Tags: []string{"keys"},
		Summary:     "Show the caller's own key and what it may do",
		Description: "Any active key may ask, an ordinary one too. It is not for proxies: it does not know which server was called. Use /v1/forward-auth.",
		Security:    restapi.AnyKey(),
	}, s.whoami)
}

func mountChanges(a *restapi.API, s *service) {
	restapi.Register(a, huma.Operation{
		OperationID: "issueKey", Method: http.MethodPost, Path: "/v1/keys", Tags: []string{"keys"},
		Summary: "Issue a key and show its secret, once",
		Description: "The new key cannot exceed the caller's own audience and addresses: if you leave them out, they are inherited; if they go beyond, the answer is 403. " +
			"An ordinary key is valid for the caller's max_key_life at most; an admin key expires no later than the caller. " +
			"A caller who may issue ordinary keys can act as any of them.",
		DefaultStatus: http.StatusCreated,
		Security:      restapi.AdminKey(keys.ScopeKeysWrite),
		Errors:        bodyErrors(http.StatusConflict),
	}, s.issue)
	restapi.Register(a, huma.Operation{
		OperationID: "revokeKey", Method: http.MethodPost, Path: "/v1/keys/{id}/revoke", Tags: []string{"keys"},
		Summary: "Revoke a key permanently",
		Description: "When this returns, guards refuse the key in every request that starts later. Revoking a revoked key changes nothing and succeeds. " +
			"To act on an admin key, the caller needs all of its scopes.",
		Security: restapi.AdminKey(keys.ScopeKeysWrite),
		Errors:   bodyErrors(http.StatusNotFound, http.StatusPreconditionFailed),
	}, s.revoke)
	restapi.Register(a, huma.Operation{
		OperationID: "editKey", Method: http.MethodPatch, Path: "/v1/keys/{id}", Tags: []string{"keys"},
		Summary: "Change the given fields of a key",
		Description: "Send the key's ETag as If-Match: the edit fails with 412 if the key was changed since. " +
			"The key must be within the caller's limits, the same as for a new key, before and after. An expired key cannot get a new expiry.",
		Security: restapi.AdminKey(keys.ScopeKeysWrite),
		Errors:   bodyErrors(http.StatusNotFound, http.StatusConflict, http.StatusPreconditionFailed),
	}, s.edit)
	restapi.Register(a, huma.Operation{
		OperationID: "rotateKey", Method: http.MethodPost, Path: "/v1/keys/{id}/rotate", Tags: []string{"keys"},
		Summary: "Give a key a new secret and show it, once",
		Description: "The old secret stays valid for the grace, but not after the key expires. At most two secrets are valid: rotating again " +
			"during the grace is 409, with the secrets' numbers for finish and replace in rotation. finish ends the old secret, replace ends the newest " +
			"and makes another; each takes the number of the secret that it ends, and any other number is 409. expires_in also gives the key a new " +
			"expiry. Disabled, expired and revoked keys cannot be rotated. The key must be within the caller's limits, the same as for a new key.",
		Security: restapi.AdminKey(keys.ScopeKeysWrite),
		Errors:   bodyErrors(http.StatusNotFound, http.StatusConflict, http.StatusPreconditionFailed),
	}, s.rotate)
	restapi.Register(a, huma.Operation{
		OperationID: "disableKey", Method: http.MethodPost, Path: "/v1/keys/{id}/disable", Tags: []string{"keys"},
		Summary:     "Refuse a key until it is enabled again",
		Description: "Disabling a disabled key changes nothing and succeeds. To act on an admin key, the caller needs all of its scopes.",
		Security:    restapi.AdminKey(keys.ScopeKeysWrite),
		Errors:      bodyErrors(http.StatusNotFound, http.StatusConflict, http.StatusPreconditionFailed),
	}, s.disable)
	restapi.Register(a, huma.Operation{
		OperationID: "enableKey", Method: http.MethodPost, Path: "/v1/keys/{id}/enable", Tags: []string{"keys"},
		Summary:     "Accept a disabled key again",
		Description: "Enabling an enabled key changes nothing and succeeds. To act on an admin key, the caller needs all of its scopes.",
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

// manager acts for the caller that the guard let in, with its rights.
func (s *service) manager(ctx context.Context) (admin.Manager, error) {
	caller, _ := keys.IdentityFrom(ctx) // without a caller nothing is allowed
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

package mcpauth

import (
	"net/http"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/middleware/internal/mcpfront"
)

// visit admits a request, to its session if it names one. It returns nil if it has answered,
// before anything of the body is read.
func (h *handler) visit(w http.ResponseWriter, r *http.Request) *mcpfront.Visit {
	caller, _ := keys.IdentityFrom(r.Context())
	v := h.slots.Visit(caller.KeyID())
	id := r.Header.Get(mcpfront.HeaderSession)
	if id == "" {
		return v
	}
	switch session := h.sessions.get(id); {
	case session == nil:
		h.guard.Refuse(w, r, mcpfront.UnknownSession)
	case session.keyID != caller.KeyID():
		h.guard.Refuse(w, r, mcpfront.OtherKeysSession)
	case !v.Enter(id):
		h.guard.Refuse(w, r, mcpfront.UnknownSession)
	default:
		return v
	}
	return nil
}

package mcpauth

import (
	"net/http"

	"github.com/mcpkeys/mcpkeys/middleware/internal/mcpfront"
)

// enter admits a request to its session, if it names one. It returns false if it has answered,
// before anything of the body is read.
func (h *handler) enter(w http.ResponseWriter, r *http.Request, c *caller) bool {
	id := r.Header.Get(mcpfront.HeaderSession)
	if id == "" {
		return true
	}
	switch session := h.sessions.get(id); {
	case session == nil:
		h.guard.Refuse(w, r, mcpfront.UnknownSession)
	case session.keyID != c.identity.KeyID():
		h.guard.Refuse(w, r, mcpfront.OtherKeysSession)
	case !c.visit.Enter(id):
		h.guard.Refuse(w, r, mcpfront.UnknownSession)
	default:
		return true
	}
	return false
}

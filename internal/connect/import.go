package connect

import (
	"context"
	"iter"

	"github.com/mcpkeys/mcpkeys/keys"
)

// Import is keys.LocalManager.Import. It is refused where the keys are behind a server:
// a file of tokens does not travel.
func (a *Admin) Import(ctx context.Context, rows iter.Seq2[keys.ImportRow, error], o keys.ImportOptions) (keys.ImportReport, error) {
	m, local := a.Manager.(*keys.LocalManager)
	if !local {
		return keys.ImportReport{}, &keys.InvalidError{Field: "server", Reason: "imports nothing; import on the key store's own machine"}
	}
	return keys.Import(ctx, m, rows, o)
}

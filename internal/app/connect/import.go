package connect

import (
	"context"
	"iter"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/admin/importing"
	"github.com/mcpkeys/mcpkeys/keys"
)

// Import is importing.Import. It is refused where the keys are behind a server:
// a file of tokens does not travel.
func (a *Admin) Import(ctx context.Context, rows iter.Seq2[importing.Row, error], o importing.Options) (importing.Report, error) {
	m, local := a.Manager.(*admin.Local)
	if !local {
		return importing.Report{}, &keys.InvalidError{Field: "server", Reason: "imports nothing; import on the key store's own machine"}
	}
	return importing.Import(ctx, m, rows, o)
}

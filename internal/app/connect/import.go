package connect

import (
	"context"
	"iter"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/admin/importing"
	"github.com/mcpkeys/mcpkeys/keys"
)

// Import is importing.Import. It is refused through a server: a file of secrets should not be
// sent.
func (a *Admin) Import(ctx context.Context, rows iter.Seq2[importing.Row, error], o importing.Options) (importing.Report, error) {
	m, local := a.Manager.(*admin.Local)
	if !local {
		return importing.Report{}, &keys.InvalidError{Field: fieldServer, Reason: "cannot import keys; run the import on the key store's own machine"}
	}
	return importing.Import(ctx, m, rows, o)
}

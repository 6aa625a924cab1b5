package sqldb

import "context"

// Prepare parses query ahead of the transactions that will run it often; a
// transaction uses what is prepared but prepares nothing itself. It must not
// be called inside a transaction. Where the driver prepares by itself, or the
// text is wrong, it does nothing: running the text gives the error.
func (d *DB) Prepare(ctx context.Context, query string) { d.stmt(ctx, query) }

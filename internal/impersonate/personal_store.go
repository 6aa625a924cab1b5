package impersonate

import (
	"context"

	"github.com/rephlo/rephlo/internal/personal"
	"github.com/rephlo/rephlo/internal/sqldb"
)

// Personal is what this package knows of people: when an administrator looked
// as them.
type Personal struct{ DB *sqldb.DB }

// Export implements personal.Part.
func (p Personal) Export(ctx context.Context, who personal.Person, to personal.Sheets) error {
	return personal.Export(ctx, p.DB, who, to, personal.Table{
		Name: "read-by-operator", Query: `SELECT id, created_at, started_at, ends_at FROM impersonation WHERE user_id = $1 AND started_at IS NOT NULL ORDER BY id`,
	})
}

// Erase implements personal.Part. The audit log remembers it.
func (p Personal) Erase(ctx context.Context, who personal.Person) error {
	return personal.Erase(ctx, p.DB, who, `DELETE FROM impersonation WHERE user_id = $1`)
}

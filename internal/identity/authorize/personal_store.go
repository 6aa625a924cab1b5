package authorize

import (
	"context"

	"github.com/rephlo/rephlo/internal/personal"
	"github.com/rephlo/rephlo/internal/sqldb"
)

// Personal is what requests have of people, as a personal.Part.
type Personal struct{ DB *sqldb.DB }

// Export implements personal.Part. Requests live for an hour and are nothing
// that an app has not asked.
func (Personal) Export(context.Context, personal.Person, personal.Sheets) error { return nil }

// Erase implements personal.Part. Who was typed in to sign in is named by what
// they typed.
func (a Personal) Erase(ctx context.Context, p personal.Person) error {
	_, err := a.DB.Change(ctx, "forget a person", `DELETE FROM authorize_interaction WHERE user_id = $1 OR ($2 <> '' AND LOWER(hint) = LOWER($2))`, p.ID, p.Email)
	return err
}

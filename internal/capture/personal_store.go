package capture

import (
	"context"
	"fmt"

	"github.com/rephlo/rephlo/internal/personal"
	"github.com/rephlo/rephlo/internal/sqldb"
)

// Export implements personal.Part: what people asked and were answered is
// theirs.
func (s *Service) Export(ctx context.Context, p personal.Person, to personal.Sheets) error {
	if err := to.Begin("captures", []string{"id", "requestId", "apiKeyId", "modelId", "operation", "createdAt", "request", "answer", "error"}); err != nil {
		return err
	}
	const q = `SELECT sealed, ` + columns + ` FROM capture_call WHERE user_id = $1 ORDER BY id`
	rows, err := s.store.db.Q(ctx).QueryContext(ctx, q, p.ID)
	if err != nil {
		return fmt.Errorf("export payloads: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var sealed []byte
		r, err := scan(withFirst{rows, &sealed})
		if err != nil {
			return fmt.Errorf("export payloads: %w", err)
		}
		values := []any{r.ID, r.RequestID, r.KeyID, r.ModelID, r.Operation, r.At, nil, nil, nil}
		if payload, err := s.open(r.ID, sealed); err == nil { // else it is of another master key
			values[6], values[7], values[8] = payload.Request, payload.Answer, payload.Error
		}
		if err := to.Row(values); err != nil {
			return err
		}
	}
	return rows.Err()
}

// Erase implements personal.Part.
func (s *Service) Erase(ctx context.Context, p personal.Person) error {
	return personal.Erase(ctx, s.store.db, p, `DELETE FROM capture_call WHERE user_id = $1`)
}

var _ sqldb.Row = withFirst{}

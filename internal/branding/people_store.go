package branding

import (
	"context"
	"time"

	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/sqldb"
)

func (s store) addFeedback(ctx context.Context, f Feedback) error {
	const q = `INSERT INTO branding_feedback (id, user_id, message, email, status, created_at) VALUES ($1, $2, $3, $4, $5, $6)`
	return s.exec(ctx, "add feedback", q, f.ID, f.UserID, f.Message, f.Email, f.Status, f.CreatedAt.UnixMicro())
}

const feedbackColumns = `id, user_id, message, email, status, created_at, replied_at`

func scanFeedback(r sqldb.Row) (Feedback, error) {
	var f Feedback
	var created, replied sqldb.Time
	err := r.Scan(&f.ID, &f.UserID, &f.Message, &f.Email, &f.Status, &created, &replied)
	f.CreatedAt, f.RepliedAt = created.Time, replied.Time
	return f, err
}

func (s store) feedback(ctx context.Context, id string) (Feedback, error) {
	return one(ctx, s, "read feedback", scanFeedback, `SELECT `+feedbackColumns+` FROM branding_feedback WHERE id = $1`, id)
}

func (s store) feedbacks(ctx context.Context, status, before string, limit int) ([]Feedback, error) {
	var w sqldb.Where
	w.Is("status", status)
	w.Below("id", before)
	q := `SELECT ` + feedbackColumns + ` FROM branding_feedback` + w.String() + ` ORDER BY id DESC LIMIT ` + w.Arg(limit)
	return sqldb.All(ctx, s.db, "list feedback", scanFeedback, q, w.Args()...)
}

func (s store) mark(ctx context.Context, id, status string) error {
	n, err := s.affected(ctx, "mark feedback", `UPDATE branding_feedback SET status = $2 WHERE id = $1`, id, status)
	if err == nil && n == 0 {
		return fault.ErrNotFound
	}
	return err
}

func (s store) replied(ctx context.Context, id string, at time.Time) error {
	return s.exec(ctx, "note a reply", `UPDATE branding_feedback SET status = 'done', replied_at = $2 WHERE id = $1`, id, at.UnixMicro())
}

func (s store) storedBytes(ctx context.Context) (int64, error) {
	return one(ctx, s, "sum diagnostics", sqldb.Value[int64],
		`SELECT CAST(COALESCE(SUM(size), 0) AS BIGINT) FROM branding_diagnostic`)
}

func (s store) addDiagnostic(ctx context.Context, d Diagnostic) error {
	const q = `
		INSERT INTO branding_diagnostic (id, user_id, note, kind, size, sha256, created_at, expires_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`
	return s.exec(ctx, "add diagnostics", q, d.ID, d.UserID, d.Note, d.Kind, d.Size, d.SHA256, d.CreatedAt.UnixMicro(), d.ExpiresAt.UnixMicro())
}

func (s store) addFile(ctx context.Context, id string, sealed []byte) error {
	return s.exec(ctx, "add file", `INSERT INTO branding_file (diagnostic_id, content) VALUES ($1, $2)`, id, sealed)
}

const diagnosticColumns = `id, user_id, note, kind, size, sha256, created_at, expires_at`

func scanDiagnostic(r sqldb.Row) (Diagnostic, error) {
	var d Diagnostic
	var created, expires sqldb.Time
	err := r.Scan(&d.ID, &d.UserID, &d.Note, &d.Kind, &d.Size, &d.SHA256, &created, &expires)
	d.CreatedAt, d.ExpiresAt = created.Time, expires.Time
	return d, err
}

func (s store) diagnostic(ctx context.Context, id string, now time.Time) (Diagnostic, error) {
	const q = `SELECT ` + diagnosticColumns + ` FROM branding_diagnostic WHERE id = $1 AND expires_at > $2`
	return one(ctx, s, "read diagnostics", scanDiagnostic, q, id, now.UnixMicro())
}

func (s store) diagnostics(ctx context.Context, before string, limit int, now time.Time) ([]Diagnostic, error) {
	var w sqldb.Where
	w.And("expires_at > ?", now.UnixMicro())
	w.Below("id", before)
	q := `SELECT ` + diagnosticColumns + ` FROM branding_diagnostic` + w.String() + ` ORDER BY id DESC LIMIT ` + w.Arg(limit)
	return sqldb.All(ctx, s.db, "list diagnostics", scanDiagnostic, q, w.Args()...)
}

func (s store) file(ctx context.Context, id string) ([]byte, error) {
	return one(ctx, s, "read file", sqldb.Value[[]byte], `SELECT content FROM branding_file WHERE diagnostic_id = $1`, id)
}

func (s store) forget(ctx context.Context, id string) error {
	if err := s.exec(ctx, "delete file", `DELETE FROM branding_file WHERE diagnostic_id = $1`, id); err != nil {
		return err
	}
	return s.exec(ctx, "delete diagnostics", `DELETE FROM branding_diagnostic WHERE id = $1`, id)
}

// sweepDiagnostics deletes what has expired, some at a time: the files are
// large.
func (s store) sweepDiagnostics(ctx context.Context, now time.Time) error {
	const q = `SELECT id FROM branding_diagnostic WHERE expires_at <= $1 ORDER BY expires_at, id LIMIT 50`
	for {
		ids, err := sqldb.All(ctx, s.db, "list expired diagnostics", sqldb.Value[string], q, now.UnixMicro())
		if err != nil || len(ids) == 0 {
			return err
		}
		for _, id := range ids {
			if err := s.db.InTx(ctx, func(ctx context.Context) error { return s.forget(ctx, id) }); err != nil {
				return err
			}
		}
	}
}

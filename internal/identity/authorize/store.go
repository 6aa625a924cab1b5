package authorize

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/rephlo/rephlo/internal/sqldb"
)

// store holds this package's SQL.
type store struct{ db *sqldb.DB }

func (s store) insert(ctx context.Context, in Interaction) error {
	const q = `
		INSERT INTO authorize_interaction (id, pushed, client_id, browser, request, hint, user_id, signed_in, consented, confirmed, created_at, expires_at)
		VALUES ($1, $2, $3, $4, $5, $6, '', FALSE, FALSE, FALSE, $7, $8)`
	request, err := json.Marshal(in.Request)
	if err != nil {
		return fmt.Errorf("store interaction: %w", err)
	}
	_, err = s.db.Q(ctx).ExecContext(ctx, q, in.UID, in.pushed, in.Request.ClientID, in.browser, string(request), in.Hint, in.CreatedAt.UnixMicro(), in.expiresAt.UnixMicro())
	if err != nil {
		return fmt.Errorf("store interaction: %w", err)
	}
	return nil
}

func (s store) byID(ctx context.Context, uid string) (Interaction, error) {
	const q = `
		SELECT browser, request, hint, user_id, signed_in, consented, confirmed, keep, proved, proved_at, created_at, expires_at, done_at
		FROM authorize_interaction WHERE id = $1`
	in := Interaction{UID: uid}
	var request, proved string
	var provedAt, created, expires, done sqldb.Time
	err := s.db.Q(ctx).QueryRowContext(ctx, q, uid).Scan(&in.browser, &request, &in.Hint, &in.UserID, &in.SignedIn, &in.Consented,
		&in.Confirmed, &in.Keep, &proved, &provedAt, &created, &expires, &done)
	if errors.Is(err, sql.ErrNoRows) {
		return in, ErrForeign
	}
	if err == nil {
		err = json.Unmarshal([]byte(request), &in.Request)
	}
	if err != nil {
		return in, fmt.Errorf("read interaction: %w", err)
	}
	in.CreatedAt, in.expiresAt, in.finished = created.Time, expires.Time, done.Time
	in.Proved, in.ProvedAt = strings.Fields(proved), provedAt.Time
	return in, nil
}

// bind gives an interaction to the first browser that shows it.
func (s store) bind(ctx context.Context, uid string, browser []byte) (bool, error) {
	const q = `UPDATE authorize_interaction SET browser = $2 WHERE id = $1 AND browser IS NULL AND pushed = ''`
	return s.db.Change(ctx, "bind interaction", q, uid, browser)
}

// byHandle returns the id of the client's interaction that was pushed under
// the handle with this hash, or "".
func (s store) byHandle(ctx context.Context, hash, clientID string) (uid string, err error) {
	const q = `SELECT id FROM authorize_interaction WHERE pushed = $1 AND client_id = $2`
	err = s.db.Q(ctx).QueryRowContext(ctx, q, hash, clientID).Scan(&uid)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("look up pushed request: %w", err)
	}
	return uid, nil
}

// pull gives a pushed request to the first browser that comes in time.
func (s store) pull(ctx context.Context, uid string, browser []byte, now, expires time.Time) (bool, error) {
	const q = `
		UPDATE authorize_interaction SET browser = $2, expires_at = $4
		WHERE id = $1 AND browser IS NULL AND done_at IS NULL AND expires_at > $3`
	return s.db.Change(ctx, "continue pushed request", q, uid, browser, now.UnixMicro(), expires.UnixMicro())
}

// took records the steps that were taken.
func (s store) took(ctx context.Context, in Interaction) error {
	const q = `
		UPDATE authorize_interaction SET user_id = $2, signed_in = $3, consented = $4, confirmed = $5, proved = $6, proved_at = $7, keep = $8
		WHERE id = $1 AND done_at IS NULL`
	_, err := s.db.Change(ctx, "record step", q, in.UID, in.UserID, in.SignedIn, in.Consented, in.Confirmed,
		strings.Join(in.Proved, " "), sqldb.TimeArg(in.ProvedAt), in.Keep)
	return err
}

// end marks an interaction as answered; only the first caller wins.
func (s store) end(ctx context.Context, uid string, at time.Time) (bool, error) {
	const q = `UPDATE authorize_interaction SET done_at = $2 WHERE id = $1 AND done_at IS NULL`
	return s.db.Change(ctx, "end interaction", q, uid, at.UnixMicro())
}

func (s store) sweep(ctx context.Context, before time.Time) error {
	_, err := s.db.Change(ctx, "sweep interactions", `DELETE FROM authorize_interaction WHERE expires_at < $1`, before.UnixMicro())
	return err
}

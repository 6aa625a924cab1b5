package usage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/sqldb"
)

type store struct{ db *sqldb.DB }

const selectRecord = `
	SELECT id, request_id, user_id, key_id, client_id, model_id, vendor_model, provider,
		operation, status, ending, stream, source, suspect,
		input, cache_read, cache_write, cache_write_long, image_input, audio_input,
		output, reasoning, audio_output, image_output,
		images, audio_seconds, characters, server_tool_calls, requests,
		charged, cost_pico, pricing, duration_ms, first_token_ms, at
	FROM usage_record `

func scan(row interface{ Scan(...any) error }) (Entry, error) {
	var e Entry
	var charged int64
	var pricing string
	var at sqldb.Time
	c := &e.Counts
	err := row.Scan(
		&e.ID, &e.RequestID, &e.UserID, &e.KeyID, &e.ClientID, &e.ModelID, &e.VendorModel, &e.Provider,
		&e.Operation, &e.Status, &e.Ending, &e.Stream, &e.Source, &e.Suspect,
		&c.Input, &c.CacheRead, &c.CacheWrite, &c.CacheWriteLong, &c.ImageInput, &c.AudioInput,
		&c.Output, &c.Reasoning, &c.AudioOutput, &c.ImageOutput,
		&c.Images, &c.AudioSeconds, &c.Characters, &c.ServerToolCalls, &c.Requests,
		&charged, &e.CostPico, &pricing, &e.DurationMS, &e.FirstTokenMS, &at)
	if err != nil {
		return Entry{}, err
	}
	e.Charged, e.At = money.Credits(charged), at.Time
	return e, e.readRate(pricing)
}

// list returns records older than after, newest first, and none that is older
// than floor.
func (s store) list(ctx context.Context, user string, f Filter, after, floor position, limit int) ([]Entry, error) {
	w := f.where()
	w.And("user_id = ?", user)
	w.And("(at, id) < (?, ?)", after.At, after.ID)
	w.And("(at, id) >= (?, ?)", floor.At, floor.ID)
	return s.many(ctx, limit, selectRecord+w.String()+` ORDER BY at DESC, id DESC LIMIT `+w.Arg(limit), w.Args()...)
}

// floor returns the record that is so many below after, if there are so many
// between the times of f.
func (s store) floor(ctx context.Context, user string, f Filter, after position, below int) (p position, ok bool, err error) {
	const q = `SELECT at, id FROM usage_record WHERE user_id = $1 AND (at, id) < ($2, $3) AND at >= $4 AND at < $5
		ORDER BY at DESC, id DESC LIMIT 1 OFFSET $6`
	err = s.db.Q(ctx).QueryRowContext(ctx, q, user, after.At, after.ID, bound(f.From, 0), bound(f.Until, math.MaxInt64), below).Scan(&p.At, &p.ID)
	return p, err == nil, found(err)
}

// allFloor is floor for the records of everybody, by their ids.
func (s store) allFloor(ctx context.Context, from, before string, below int) (floor string, ok bool, err error) {
	const q = `SELECT id FROM usage_record WHERE id < $1 AND id >= $2 ORDER BY id DESC LIMIT 1 OFFSET $3`
	err = s.db.Q(ctx).QueryRowContext(ctx, q, before, from, below).Scan(&floor)
	return floor, err == nil, found(err)
}

func found(err error) error {
	if err == nil || errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	return fmt.Errorf("list usage: %w", err)
}

// where are the conditions of f.
func (f Filter) where() *sqldb.Where {
	var w sqldb.Where
	if !f.From.IsZero() {
		w.And("at >= ?", f.From.UnixMicro())
	}
	if !f.Until.IsZero() {
		w.And("at < ?", f.Until.UnixMicro())
	}
	w.Is("model_id", f.ModelID)
	w.Is("operation", f.Operation)
	w.Is("status", f.Status)
	w.Is("key_id", f.KeyID)
	w.Is("client_id", f.ClientID)
	return &w
}

// narrow reports whether f may leave out nearly everything that it looks at.
func (f Filter) narrow() bool {
	return f.ModelID != "" || f.Operation != "" || f.Status != "" || f.KeyID != "" || f.ClientID != ""
}

// all returns records of everybody in a time, those with ids below before and
// from floor on, the newest first. Ids rise with time, so the primary key is all
// that is read.
func (s store) all(ctx context.Context, f Filter, before, floor string, limit int) ([]Entry, error) {
	w := f.where()
	w.And("id < ?", before)
	w.And("id >= ?", floor)
	return s.many(ctx, limit, selectRecord+w.String()+` ORDER BY id DESC LIMIT `+w.Arg(limit), w.Args()...)
}

// calls returns the record with this id, or else those with it as request id.
func (s store) calls(ctx context.Context, name string) ([]Entry, error) {
	const limit = 20
	entries, err := s.many(ctx, 1, selectRecord+`WHERE id = $1`, name)
	if err != nil || len(entries) > 0 {
		return entries, err
	}
	return s.many(ctx, limit, selectRecord+`WHERE request_id = $1 ORDER BY at DESC, id DESC LIMIT $2`, name, limit)
}

func (s store) many(ctx context.Context, room int, q string, args ...any) ([]Entry, error) {
	rows, err := s.db.Q(ctx).QueryContext(ctx, q, args...)
	if err != nil {
		return nil, fmt.Errorf("list usage: %w", err)
	}
	defer rows.Close()
	entries := make([]Entry, 0, room)
	for rows.Next() {
		e, err := scan(rows)
		if err != nil {
			return nil, fmt.Errorf("list usage: %w", err)
		}
		entries = append(entries, e)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("list usage: %w", err)
	}
	return entries, nil
}

func bound(t time.Time, none int64) int64 {
	if t.IsZero() {
		return none
	}
	return t.UnixMicro()
}

func (s store) byID(ctx context.Context, user, callID string) (Entry, bool, error) {
	return s.one(ctx, selectRecord+`WHERE id = $2 AND user_id = $1`, user, callID)
}

func (s store) byRequest(ctx context.Context, user, requestID string) (Entry, bool, error) {
	return s.one(ctx, selectRecord+`WHERE user_id = $1 AND request_id = $2`+newestFew+` LIMIT 1`, user, requestID)
}

func (s store) one(ctx context.Context, q, user, name string) (Entry, bool, error) {
	e, err := scan(s.db.Q(ctx).QueryRowContext(ctx, q, user, name))
	if errors.Is(err, sql.ErrNoRows) {
		return Entry{}, false, nil
	}
	if err != nil {
		return Entry{}, false, fmt.Errorf("find usage: %w", err)
	}
	return e, true, nil
}

package credit

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// laneRow is a row of credit_lane.
type laneRow struct {
	lane, epoch, beat int64
	node              string
	head              head
}

func (s store) lanes(ctx context.Context) ([]laneRow, error) {
	const q = `SELECT lane, node, epoch, beat, batch, seq, hash FROM credit_lane ORDER BY lane`
	rows, err := s.db.Q(ctx).QueryContext(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("read lanes: %w", err)
	}
	defer rows.Close()
	var out []laneRow
	for rows.Next() {
		var (
			r    laneRow
			hash []byte
		)
		if err := rows.Scan(&r.lane, &r.node, &r.epoch, &r.beat, &r.head.batch, &r.head.last, &hash); err != nil {
			return nil, fmt.Errorf("read lanes: %w", err)
		}
		if copy(r.head.hash[:], hash) != len(hash) || len(hash) != len(r.head.hash) {
			return nil, fmt.Errorf("lane %d: %w: its hash has %d bytes", r.lane, ErrDamaged, len(hash))
		}
		out = append(out, r)
	}
	return out, rows.Err()
}

// addLane makes a lane that has written nothing, if there is none.
func (s store) addLane(ctx context.Context, lane int64, node string) error {
	const q = `INSERT INTO credit_lane (lane, node, hash) VALUES ($1, $2, $3) ON CONFLICT (lane) DO NOTHING`
	var zero digest
	if _, err := s.db.Q(ctx).ExecContext(ctx, q, lane, node, zero[:]); err != nil {
		return fmt.Errorf("make lane %d: %w", lane, err)
	}
	return nil
}

// lockCold makes every other transaction that needs the cold lane wait for the
// end of this one.
func (s store) lockCold(ctx context.Context) error {
	if err := s.addLane(ctx, coldLane, ""); err != nil {
		return err
	}
	const q = `UPDATE credit_lane SET beat = beat + 1 WHERE lane = $1`
	if err := s.one(ctx, q, coldLane); err != nil {
		return fmt.Errorf("lock the cold lane: %w", err)
	}
	return nil
}

// takeLane makes node the owner of a lane and fences the one before.
func (s store) takeLane(ctx context.Context, r laneRow, node string) error {
	const q = `UPDATE credit_lane SET epoch = epoch + 1, beat = beat + 1, node = $3 WHERE lane = $1 AND epoch = $2`
	if err := s.one(ctx, q, r.lane, r.epoch, node); err != nil {
		return fmt.Errorf("claim lane %d: %w", r.lane, err)
	}
	return nil
}

// seizeLane is takeLane for a lane whose owner is silent: it fails if there
// was a beat since r was read.
func (s store) seizeLane(ctx context.Context, r laneRow, node string) error {
	const q = `UPDATE credit_lane SET epoch = epoch + 1, beat = beat + 1, node = $4 WHERE lane = $1 AND epoch = $2 AND beat = $3`
	if err := s.one(ctx, q, r.lane, r.epoch, r.beat, node); err != nil {
		return fmt.Errorf("seize lane %d: %w", r.lane, err)
	}
	return nil
}

// leaveLane gives a lane back, unless it has an owner since.
func (s store) leaveLane(ctx context.Context, lane, epoch int64) error {
	const q = `UPDATE credit_lane SET node = '' WHERE lane = $1 AND epoch = $2`
	if _, err := s.db.Q(ctx).ExecContext(ctx, q, lane, epoch); err != nil {
		return fmt.Errorf("give lane %d back: %w", lane, err)
	}
	return nil
}

// lastWritten returns the lane's last batch and the sequence of its last
// transfer; zero when there are none.
func (s store) lastWritten(ctx context.Context, lane int64) (h head, seq int64, err error) {
	const (
		batch    = `SELECT batch, last_seq, hash FROM credit_batch WHERE lane = $1 ORDER BY batch DESC LIMIT 1`
		transfer = `SELECT seq FROM credit_transfer WHERE lane = $1 ORDER BY seq DESC LIMIT 1`
	)
	var hash []byte
	err = s.db.Q(ctx).QueryRowContext(ctx, batch, lane).Scan(&h.batch, &h.last, &hash)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return head{}, 0, fmt.Errorf("read last batch: %w", err)
	}
	copy(h.hash[:], hash)
	err = s.db.Q(ctx).QueryRowContext(ctx, transfer, lane).Scan(&seq)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return head{}, 0, fmt.Errorf("read last transfer: %w", err)
	}
	return h, seq, nil
}

// orphans returns the open holds of a lane with their parts.
func (s store) orphans(ctx context.Context, lane int64) ([]*Hold, error) {
	const q = `SELECT h.ref, h.user_id, h.amount, h.progress, h.journal, h.caps, t.grant_id, t.amount, g.expires_at
		FROM credit_hold h
		JOIN credit_transfer t ON t.ref = h.ref AND t.kind = 'hold'
		JOIN credit_grant g ON g.id = t.grant_id
		WHERE h.lane = $1 ORDER BY h.ref, t.part`
	rows, err := s.db.Q(ctx).QueryContext(ctx, q, lane)
	if err != nil {
		return nil, fmt.Errorf("read open holds: %w", err)
	}
	defer rows.Close()
	var out []*Hold
	for rows.Next() {
		var (
			ref, user, journal, caps string
			amount, progress         int64
			t                        part
		)
		if err := rows.Scan(&ref, &user, &amount, &progress, &journal, &caps, &t.grant, &t.amount, &t.expires); err != nil {
			return nil, fmt.Errorf("read open holds: %w", err)
		}
		if n := len(out); n == 0 || out[n-1].ref != ref {
			h := &Hold{ref: ref, amount: amount, progress: progress, journal: []byte(journal), written: true, purse: &purse{user: user}}
			h.parts = h.inline[:0]
			keys, err := decodeCaps(caps)
			if err != nil {
				return nil, fmt.Errorf("read open hold %s: %w", ref, err)
			}
			for _, k := range keys {
				h.caps = append(h.caps, &allowance{key: k})
			}
			out = append(out, h)
		}
		h := out[len(out)-1]
		h.parts = append(h.parts, t)
	}
	return out, rows.Err()
}

package audit

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/seal"
	"github.com/rephlo/rephlo/internal/sqldb"
)

func newKey() []byte {
	key := make([]byte, seal.KeySize)
	_, _ = rand.Read(key) // never fails (crypto/rand)
	return key
}

// Filter chooses rows; what is empty chooses all.
type Filter struct {
	Actor, Action, Type, ID string
	Outcome                 Outcome
	IP, RequestID           string
	After, Before           time.Time // at or after; before
	Below                   int64     // only numbers below it

	ipTag string
}

// List returns up to limit entries, newest first.
func (l *Log) List(ctx context.Context, f Filter, limit int) ([]Entry, error) {
	f.ipTag = l.tag(f.IP)
	rows, err := l.store.list(ctx, f, limit)
	if err != nil {
		return nil, unavailable(err)
	}
	out := make([]Entry, 0, len(rows))
	for _, r := range rows {
		e, err := l.entry(ctx, r)
		if err != nil {
			return nil, unavailable(err)
		}
		out = append(out, e)
	}
	return out, nil
}

// One returns the entry with a number, or ErrUnknown.
func (l *Log) One(ctx context.Context, seq int64) (Entry, error) {
	rows, err := l.store.after(ctx, seq, seq, 1)
	if err != nil || len(rows) == 0 {
		if err == nil {
			err = ErrUnknown
		}
		return Entry{}, unavailable(err)
	}
	e, err := l.entry(ctx, rows[0])
	return e, unavailable(err)
}

// entry opens what is sealed in r.
func (l *Log) entry(ctx context.Context, r row) (Entry, error) {
	e := Entry{
		Seq: r.seq, At: time.UnixMicro(r.at).UTC(), Actor: r.actor, Roles: strings.Fields(r.roles), Action: r.action, Type: r.resource, ID: r.id,
		Outcome: Outcome(r.outcome), Reason: r.reason, RequestID: r.requestID, Hash: r.hash,
	}
	var o origin
	if err := l.open(ctx, r.actor, r.origin, &o); err != nil {
		return e, err
	}
	e.IP, e.Client = o.IP, o.Client
	var open, personal struct{ Before, After map[string]json.RawMessage }
	if err := json.Unmarshal([]byte(r.changed), &open); err != nil {
		return e, fmt.Errorf("audit: row %d: %w", r.seq, err)
	}
	if err := l.open(ctx, r.person, r.personal, &personal); err != nil {
		return e, err
	}
	e.Before, e.After = joined(open.Before, personal.Before), joined(open.After, personal.After)
	record, err := r.record()
	e.Record = string(record)
	return e, err
}

func joined(a, b map[string]json.RawMessage) map[string]json.RawMessage {
	for name, v := range b {
		if a == nil {
			a = map[string]json.RawMessage{}
		}
		a[name] = v
	}
	return a
}

// walkPage is how many rows are held in memory at a time.
const walkPage = 500

// walk calls f with each row from first to last in order.
func (l *Log) walk(ctx context.Context, first, last int64, f func(r row) error) error {
	for at := first; at <= last; {
		rows, err := l.store.after(ctx, at, last, walkPage)
		if err != nil {
			return unavailable(err)
		}
		for _, r := range rows {
			if err := f(r); err != nil {
				return err
			}
		}
		if len(rows) < walkPage {
			return nil
		}
		at = rows[len(rows)-1].seq + 1
	}
	return nil
}

// Export calls f with each entry between two times in order; a zero time is no
// bound.
func (l *Log) Export(ctx context.Context, from, to time.Time, f func(Entry) error) error {
	first, last, err := l.between(ctx, from, to)
	if err != nil || last == 0 {
		return err
	}
	prev, err := l.hashBefore(ctx, first)
	if err != nil {
		return err
	}
	return l.walk(ctx, first, last, func(r row) error {
		e, err := l.entry(ctx, r)
		if err != nil {
			return unavailable(err)
		}
		e.Prev, prev = prev, r.hash
		return f(e)
	})
}

// between returns the first and last number of a time; 0 when there is none.
func (l *Log) between(ctx context.Context, from, to time.Time) (first, last int64, err error) {
	gone, _, err := l.kept(ctx)
	if err != nil {
		return 0, 0, unavailable(err)
	}
	if from.IsZero() && to.IsZero() {
		last, _, err = l.store.head(ctx)
		return gone.seq + 1, last, unavailable(err)
	}
	since, until := int64(0), int64(1<<62)
	if !from.IsZero() {
		since = from.UnixMicro()
	}
	if !to.IsZero() {
		until = to.UnixMicro()
	}
	first, last, err = l.store.span(ctx, since, until)
	if from.IsZero() && last > 0 {
		first = gone.seq + 1
	}
	return first, last, unavailable(err)
}

// hashBefore returns the hash of the row before a number, also when that row
// was the last to be forgotten; "" before the first.
func (l *Log) hashBefore(ctx context.Context, seq int64) (string, error) {
	if gone, _, err := l.kept(ctx); err != nil || gone.seq == seq-1 {
		return gone.hash, unavailable(err)
	}
	rows, err := l.store.after(ctx, seq-1, seq-1, 1)
	if err != nil || len(rows) == 0 {
		return "", unavailable(err)
	}
	return rows[0].hash, nil
}

// Verified is the result of Verify.
type Verified struct {
	Rows     int64 // that were looked at
	FirstBad int64 // the number of the first wrong row; 0: there is none
	Problem  string
	Seq      int64 // the newest row
	Hash     string
	Pruned   int64 // the last row that was forgotten, as it had become old
}

// Verify recomputes the chain between two times, or all of it when both are
// zero, and names the first row that is not as it was written. Without a lower
// bound a row that is missing at the end is found too. What was forgotten by
// Prune is not missing: its marker has to be one that we signed.
func (l *Log) Verify(ctx context.Context, from, to time.Time) (Verified, error) {
	head, headHash, err := l.store.head(ctx)
	if err != nil {
		return Verified{}, unavailable(err)
	}
	v := Verified{Seq: head, Hash: headHash}
	gone, ours, err := l.kept(ctx)
	if err != nil {
		return v, unavailable(err)
	}
	if v.Pruned = gone.seq; !ours {
		_ = v.bad(gone.seq+1, badMarker)
		return v, nil
	}
	first, last, err := l.between(ctx, from, to)
	if err != nil {
		return v, err
	}
	prev := ""
	if first > 1 {
		if prev, err = l.hashBefore(ctx, first); err != nil {
			return v, err
		}
	}
	next := first
	err = l.walk(ctx, first, last, func(r row) error {
		v.Rows++
		switch record, err := r.record(); {
		case r.seq != next:
			return v.bad(next, "it is missing")
		case err != nil:
			return v.bad(r.seq, "it is not readable")
		case l.link(prev, record) != r.hash:
			return v.bad(r.seq, "it is not what was written")
		case r.seq == head && r.hash != headHash:
			return v.bad(r.seq, "it is not the newest row that was written")
		}
		prev, next = r.hash, r.seq+1
		return nil
	})
	if err == errBad { //nolint:errorlint // returned as it is, a few lines above
		return v, nil
	}
	if err == nil && to.IsZero() && next <= head && last > 0 {
		_ = v.bad(next, "it is missing")
	}
	return v, err
}

var errBad = fmt.Errorf("a bad row")

func (v *Verified) bad(seq int64, problem string) error {
	v.FirstBad, v.Problem = seq, problem
	return errBad
}

func unavailable(err error) error {
	if sqldb.IsUnavailable(err) {
		return fault.ErrUnavailable.Because(err)
	}
	return err
}

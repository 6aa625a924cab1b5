package audit

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"math"
	"time"
)

// pruneRows is how many rows one transaction forgets.
const pruneRows = 2000

// Prune forgets the rows of before a time, from the oldest on, and returns how
// many. What is left verifies: a signed marker says up to where rows were
// forgotten, and the chain goes on from the hash of the last of them. Rows that
// do not verify are evidence and stay; so does all that is newer.
func (l *Log) Prune(ctx context.Context, before time.Time) (rows int64, err error) {
	for {
		var n int64
		err := l.db.InTx(ctx, func(ctx context.Context) (err error) {
			n, err = l.pruneSome(ctx, before)
			return err
		})
		rows += n
		if err != nil || n < pruneRows {
			return rows, unavailable(err)
		}
	}
}

func (l *Log) pruneSome(ctx context.Context, before time.Time) (int64, error) {
	last, ok, err := l.kept(ctx)
	if err != nil {
		return 0, err
	}
	if !ok {
		return 0, l.alarm(ctx, last.seq, badMarker)
	}
	rows, err := l.store.after(ctx, last.seq+1, math.MaxInt64, pruneRows)
	if err != nil {
		return 0, err
	}
	m := marker{no: last.no + 1, seq: last.seq, hash: last.hash, at: l.now().UnixMicro()}
	for _, r := range rows {
		if r.at >= before.UnixMicro() {
			break
		}
		record, err := r.record()
		if err != nil || r.seq != m.seq+1 || l.link(m.hash, record) != r.hash {
			return 0, l.alarm(ctx, m.seq+1, "it is not what was written")
		}
		m.seq, m.hash, m.newest, m.count = r.seq, r.hash, max(m.newest, r.at), m.count+1
	}
	if m.count == 0 {
		return 0, nil
	}
	if m.signature, err = l.sign(last.signature, m); err != nil {
		return 0, err
	}
	if err := l.store.forget(ctx, m); err != nil {
		return 0, err
	}
	return m.count, l.Write(ctx, Change{
		Action: "audit.prune", Actor: System, Type: "audit_log",
		After: map[string]any{"rows": m.count, "lastSeq": m.seq, "hash": m.hash, "until": time.UnixMicro(m.newest).UTC()},
	})
}

// badMarker is what is wrong with the first row behind a marker that was not
// written by us.
const badMarker = "what says that older rows were forgotten is not what was written"

// kept returns the last marker, whose seq is 0 when everything is kept, and
// whether all of them are ours.
func (l *Log) kept(ctx context.Context) (last marker, ours bool, err error) {
	all, err := l.store.markers(ctx)
	if err != nil {
		return last, false, err
	}
	for _, m := range all {
		signature, err := l.sign(last.signature, m)
		if err != nil {
			return last, false, err
		}
		if m.no != last.no+1 || m.seq != last.seq+m.count || !hmac.Equal([]byte(signature), []byte(m.signature)) {
			return last, false, nil
		}
		last = m
	}
	return last, true, nil
}

// sign returns the signature of a marker that follows one with the signature
// prev.
func (l *Log) sign(prev string, m marker) (string, error) {
	record, err := canonical(map[string]any{"no": m.no, "seq": m.seq, "hash": m.hash, "count": m.count, "newest_at": m.newest, "at": m.at})
	if err != nil {
		return "", err
	}
	h := hmac.New(sha256.New, l.marks)
	h.Write([]byte(prev))
	h.Write(record)
	return hex.EncodeToString(h.Sum(nil)), nil
}

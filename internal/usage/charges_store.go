package usage

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"strings"

	"github.com/rephlo/rephlo/internal/credit"
	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/pricing"
)

const (
	selectCharges = `SELECT id, charged, pricing, input, cache_read, cache_write, cache_write_long, image_input, audio_input,
		output, reasoning, audio_output, image_output, images, audio_seconds, characters, server_tool_calls, requests FROM usage_record WHERE charged > 0`
	chargesFrom = selectCharges + ` AND id >= $1`
)

// someCalls is how many calls one statement asks for.
const someCalls = 256

var chargesOf = selectCharges + ` AND id IN (` + arguments(someCalls) + `)`

// arguments returns "$1, $2, …, $n".
func arguments(n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString("$" + strconv.Itoa(i+1))
	}
	return b.String()
}

func (s store) charges(ctx context.Context, w credit.Which, each func(credit.Recorded) error) error {
	r := repricer{rates: map[string]Entry{}}
	if len(w.Calls) == 0 && w.From == "" {
		return s.eachCharge(ctx, &r, each, selectCharges) // in the order of the table: the fastest
	}
	if len(w.Calls) == 0 {
		return s.eachCharge(ctx, &r, each, chargesFrom, w.From)
	}
	for calls := w.Calls; len(calls) > 0; calls = calls[min(someCalls, len(calls)):] {
		args := make([]any, someCalls)
		for i := range args {
			args[i] = calls[min(i, len(calls)-1)] // the last one fills up
		}
		if err := s.eachCharge(ctx, &r, each, chargesOf, args...); err != nil {
			return err
		}
	}
	return nil
}

func (s store) eachCharge(ctx context.Context, r *repricer, each func(credit.Recorded) error, query string, args ...any) error {
	rows, err := s.db.Q(ctx).QueryContext(ctx, query, args...)
	if err != nil {
		return fmt.Errorf("read charges: %w", err)
	}
	defer rows.Close()
	var (
		out     credit.Recorded
		charged int64
		rate    sql.RawBytes
		c       pricing.Counts
	)
	for rows.Next() {
		err := rows.Scan(&out.Call, &charged, &rate, &c.Input, &c.CacheRead, &c.CacheWrite, &c.CacheWriteLong, &c.ImageInput, &c.AudioInput,
			&c.Output, &c.Reasoning, &c.AudioOutput, &c.ImageOutput,
			&c.Images, &c.AudioSeconds, &c.Characters, &c.ServerToolCalls, &c.Requests)
		if err != nil {
			return fmt.Errorf("read charges: %w", err)
		}
		out.Charged = money.Credits(charged)
		out.Price, out.Priced = r.price(rate, c)
		if err := each(out); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read charges: %w", err)
	}
	return nil
}

// repricer computes prices from stored rates. Few rates price many calls, so
// it keeps those that it has read.
type repricer struct {
	rates map[string]Entry
}

// maxRates bounds what a repricer keeps.
const maxRates = 4096

// price returns what the counts cost at the rate. A rate that cannot be read,
// or that gives no price, is priced at -1, which no charge is; one without
// terms is of a record whose journal was lost.
func (r *repricer) price(rate []byte, c pricing.Counts) (price money.Credits, priced bool) {
	e, known := r.rates[string(rate)]
	if !known {
		if err := e.readRate(string(rate)); err != nil {
			return -1, true
		}
		if len(r.rates) >= maxRates {
			clear(r.rates)
		}
		r.rates[string(rate)] = e
	}
	if e.Terms == (money.Terms{}) {
		return 0, false
	}
	price, _, err := pricing.Price(c, e.Prices, e.Terms)
	if err != nil {
		return -1, true
	}
	return price, true
}

package catalog

import (
	"context"
	"encoding/json"
	"time"

	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/id"
	"github.com/rephlo/rephlo/internal/pricing"
)

// PriceRow is what a vendor asks for a model during an interval.
type PriceRow struct {
	ID          string
	Provider    string
	VendorModel string
	From        time.Time
	Until       time.Time // zero while nothing follows
	Prices      pricing.Prices
	Source      string
	// Author wrote the row; empty for rows of the configuration. Neither the
	// configuration nor an import replaces a row that a person wrote.
	Author, Reason string
	VerifiedAt     time.Time
}

func newPriceRow(r storedPrice) (PriceRow, error) {
	p := PriceRow{
		ID: r.id, Provider: r.provider, VendorModel: r.vendorModel, From: r.from, Until: r.until, Source: r.source,
		Author: r.author, Reason: r.reason, VerifiedAt: r.verified,
	}
	return p, json.Unmarshal([]byte(r.prices), &p.Prices)
}

// PriceFilter narrows a list of prices; empty fields do not.
type PriceFilter struct {
	Provider, VendorModel string
	After                 PricePlace // the last row of the page before
}

// PricePlace is where a row is in the list of prices; zero is before the first.
type PricePlace struct {
	From int64 // microseconds
	ID   string
}

func (p PriceRow) place() PricePlace { return PricePlace{p.From.UnixMicro(), p.ID} }

// PriceRows returns up to limit rows, those that begin last first.
func (s *Service) PriceRows(ctx context.Context, f PriceFilter, limit int) ([]PriceRow, error) {
	rows, err := s.store.listPrices(ctx, f, limit)
	if err != nil {
		return nil, unavailable(err)
	}
	out := make([]PriceRow, 0, len(rows))
	for _, r := range rows {
		p, err := newPriceRow(r)
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

// NewPrice is a price that shall hold from a time on.
type NewPrice struct {
	Provider, VendorModel string
	From                  time.Time // zero: now
	Prices                pricing.Prices
	Source                string // empty: the author
	// ID makes the same request twice one row; empty: a new one.
	ID string
}

// sourceAdmin is the source of a row that an administrator wrote.
const sourceAdmin = "admin"

// SetPrice closes the row that holds at p.From and opens the next, in one
// transaction. Rows of the past never change, so p.From is not before now. A
// repeated request returns the row that the first one made, and true.
func (s *Service) SetPrice(ctx context.Context, p NewPrice, by By) (row PriceRow, repeated bool, err error) {
	if err := p.Prices.Check(); err != nil {
		return PriceRow{}, false, wrong("prices", "%s", err)
	}
	err = s.change(ctx, by, func(ctx context.Context, e *edit) error {
		if p.ID != "" {
			if have, err := s.store.priceByID(ctx, p.ID); err != nil || len(have) > 0 {
				return firstError(err, func() error { row, repeated, err = sameRequest(have[0], p); return err })
			}
		}
		if _, err := e.have.provider(p.Provider); err != nil {
			return wrong("providerId", "there is no such provider")
		}
		if p.VendorModel == "" || len(p.VendorModel) > 200 {
			return wrong("vendorModelId", "it has 1 to 200 bytes")
		}
		row, err = e.setPrice(ctx, p)
		return err
	})
	return row, repeated, err
}

func firstError(err error, next func() error) error {
	if err != nil {
		return err
	}
	return next()
}

// ErrRepeated answers a key that was used for something else.
var ErrRepeated = fault.New(fault.Unprocessable, "idempotency_key_reuse", "This Idempotency-Key was used with another body. Use a new one.").At("Idempotency-Key")

func sameRequest(have storedPrice, p NewPrice) (PriceRow, bool, error) {
	row, err := newPriceRow(have)
	if err != nil {
		return row, false, err
	}
	if row.Provider != p.Provider || row.VendorModel != p.VendorModel || !sameJSON(row.Prices, p.Prices) || !p.From.IsZero() && !p.From.Equal(row.From) {
		return row, false, ErrRepeated
	}
	return row, true, nil
}

// setPrice puts the row between its neighbours.
func (e *edit) setPrice(ctx context.Context, p NewPrice) (PriceRow, error) {
	from := p.From.UTC().Truncate(time.Microsecond)
	switch {
	case p.From.IsZero():
		from = e.at
	case from.Before(e.at):
		return PriceRow{}, wrong("effectiveFrom", "it is not in the past: what calls were charged stays")
	}
	text, err := json.Marshal(p.Prices)
	if err != nil {
		return PriceRow{}, err
	}
	row := storedPrice{
		id: p.ID, provider: p.Provider, vendorModel: p.VendorModel, from: from, prices: string(text), source: p.Source, author: e.by.Actor, reason: e.by.Reason, verified: e.at,
	}
	if row.id == "" {
		row.id = id.New("price", e.at)
	}
	if row.source == "" {
		row.source = sourceAdmin
	}
	rows, err := e.pricesOf(ctx, p.Provider, p.VendorModel)
	if err != nil {
		return PriceRow{}, err
	}
	var before any
	for _, r := range rows {
		switch {
		case r.from.Equal(from):
			return PriceRow{}, ErrTaken.Saying("A price begins at this moment already. Choose another effectiveFrom.").At("effectiveFrom")
		case r.from.After(from) && row.until.IsZero():
			row.until = r.from
		case r.from.Before(from) && (r.until.IsZero() || r.until.After(from)):
			e.boundPrice(ctx, r.id, from)
			if before, err = shownPrice(r); err != nil {
				return PriceRow{}, err
			}
		}
	}
	e.beginPrice(ctx, row)
	after, err := newPriceRow(row)
	if err != nil {
		return PriceRow{}, err
	}
	return after, e.remembered(ctx, kindPrice, p.Provider+"/"+p.VendorModel, "set", before, after.shown())
}

func shownPrice(r storedPrice) (any, error) {
	p, err := newPriceRow(r)
	return p.shown(), err
}

// CancelPrice takes a row back that does not hold yet; the one before it goes
// on. One that holds already is ErrState.
func (s *Service) CancelPrice(ctx context.Context, priceID string, by By) error {
	return s.onPrice(ctx, priceID, by, func(ctx context.Context, e *edit, r storedPrice) error {
		if !r.from.After(e.at) {
			return ErrState.Saying("This price holds already, and past prices never change. Set a new one.")
		}
		rows, err := e.pricesOf(ctx, r.provider, r.vendorModel)
		if err != nil {
			return err
		}
		e.dropPrice(ctx, r.id) // first: two open rows are never there
		for _, other := range rows {
			if other.until.Equal(r.from) {
				e.boundPrice(ctx, other.id, r.until)
			}
		}
		before, err := shownPrice(r)
		if err != nil {
			return err
		}
		return e.remembered(ctx, kindPrice, r.provider+"/"+r.vendorModel, "cancel", before, nil)
	})
}

// VerifyPrice says that somebody has compared a row with the vendor's list.
func (s *Service) VerifyPrice(ctx context.Context, priceID string, by By) (PriceRow, error) {
	var row PriceRow
	err := s.onPrice(ctx, priceID, by, func(ctx context.Context, e *edit, r storedPrice) (err error) {
		e.verifyPrice(ctx, r.id)
		r.verified = e.at
		if row, err = newPriceRow(r); err != nil {
			return err
		}
		return e.remembered(ctx, kindPrice, r.provider+"/"+r.vendorModel, "verify", nil, row.shown())
	})
	return row, err
}

func (s *Service) onPrice(ctx context.Context, priceID string, by By, f func(ctx context.Context, e *edit, r storedPrice) error) error {
	return s.change(ctx, by, func(ctx context.Context, e *edit) error {
		rows, err := s.store.priceByID(ctx, priceID)
		if err != nil {
			return err
		}
		if len(rows) == 0 {
			return fault.ErrNotFound
		}
		return f(ctx, e, rows[0])
	})
}

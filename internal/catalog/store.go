package catalog

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"github.com/rephlo/rephlo/internal/sqldb"
)

// store holds this package's SQL.
type store struct{ db *sqldb.DB }

// read returns all providers, models and routes, and the prices that are valid
// at now or later.
func (s store) read(ctx context.Context, now time.Time) (t tables, err error) {
	const providers = `SELECT name, vendor, base_url, sealed_key, options, allow_private, enabled FROM catalog_provider ORDER BY name`
	t.providers, err = query(ctx, s, providers, func(scan func(...any) error) (r providerRow, err error) {
		return r, scan(&r.name, &r.vendor, &r.baseURL, &r.sealed, &r.options, &r.allowPrivate, &r.enabled)
	})
	if err != nil {
		return t, fmt.Errorf("read providers: %w", err)
	}
	const models = `SELECT id, name, state, context_length, max_output, capabilities, access, fallbacks, created_at FROM catalog_model ORDER BY id`
	t.models, err = query(ctx, s, models, func(scan func(...any) error) (r modelRow, err error) {
		var created sqldb.Time
		err = scan(&r.id, &r.name, &r.state, &r.contextLength, &r.maxOutput, &r.capabilities, &r.access, &r.fallbacks, &created)
		r.created = created.Time
		return r, err
	})
	if err != nil {
		return t, fmt.Errorf("read models: %w", err)
	}
	const routes = `SELECT model_id, provider, vendor_model, priority, weight FROM catalog_route ORDER BY model_id, priority, provider, vendor_model`
	t.routes, err = query(ctx, s, routes, func(scan func(...any) error) (r routeRow, err error) {
		return r, scan(&r.model, &r.provider, &r.vendorModel, &r.priority, &r.weight)
	})
	if err != nil {
		return t, fmt.Errorf("read routes: %w", err)
	}
	const prices = `
		SELECT provider, vendor_model, effective_from, effective_until, prices, source FROM catalog_price
		WHERE effective_until IS NULL OR effective_until > $1 ORDER BY provider, vendor_model, effective_from`
	t.prices, err = query(ctx, s, prices, func(scan func(...any) error) (r storedPrice, err error) {
		var from, until sqldb.Time
		err = scan(&r.provider, &r.vendorModel, &from, &until, &r.prices, &r.source)
		r.from, r.until = from.Time, until.Time
		return r, err
	}, now.UnixMicro())
	if err != nil {
		return t, fmt.Errorf("read prices: %w", err)
	}
	return t, nil
}

func query[T any](ctx context.Context, s store, text string, one func(scan func(...any) error) (T, error), args ...any) ([]T, error) {
	rows, err := s.db.Q(ctx).QueryContext(ctx, text, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []T
	for rows.Next() {
		r, err := one(rows.Scan)
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, rows.Err()
}

// apply writes the difference between have and want and reports whether there
// was one. It joins the transaction in ctx.
func (s store) apply(ctx context.Context, have, want tables, now time.Time) (bool, error) {
	w := writer{store: s, now: now.UnixMicro()}
	w.providers(ctx, have.providers, want.providers)
	w.models(ctx, have.models, want.models)
	w.routes(ctx, have.routes, want.routes)
	w.prices(ctx, have.prices, want.prices)
	return w.changed, w.err
}

// writer runs statements until one fails.
type writer struct {
	store
	now     int64
	changed bool
	err     error
}

func (w *writer) exec(ctx context.Context, what, text string, args ...any) {
	if w.err != nil {
		return
	}
	var res sql.Result
	if res, w.err = w.db.Q(ctx).ExecContext(ctx, text, args...); w.err != nil {
		w.err = fmt.Errorf("write %s: %w", what, w.err)
		return
	}
	n, err := res.RowsAffected()
	w.changed, w.err = w.changed || n > 0, err
}

func (w *writer) providers(ctx context.Context, have, want []providerRow) {
	const put = `
		INSERT INTO catalog_provider (name, vendor, base_url, sealed_key, options, allow_private, enabled, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
		ON CONFLICT (name) DO UPDATE SET vendor = $2, base_url = $3, sealed_key = $4, options = $5, allow_private = $6, enabled = $7, updated_at = $8`
	same := func(a providerRow) func(providerRow) bool {
		return func(b providerRow) bool {
			return a.name == b.name && a.vendor == b.vendor && a.baseURL == b.baseURL && bytes.Equal(a.sealed, b.sealed) &&
				a.options == b.options && a.allowPrivate == b.allowPrivate && a.enabled == b.enabled
		}
	}
	for _, p := range want {
		if !slices.ContainsFunc(have, same(p)) {
			w.exec(ctx, "provider", put, p.name, p.vendor, p.baseURL, p.sealed, p.options, p.allowPrivate, p.enabled, w.now)
		}
	}
	const off = `UPDATE catalog_provider SET enabled = FALSE, updated_at = $2 WHERE name = $1`
	for _, p := range have {
		if p.enabled && !slices.ContainsFunc(want, func(b providerRow) bool { return b.name == p.name }) {
			w.exec(ctx, "provider", off, p.name, w.now)
		}
	}
}

func (w *writer) models(ctx context.Context, have, want []modelRow) {
	const put = `
		INSERT INTO catalog_model (id, name, state, context_length, max_output, capabilities, access, fallbacks, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9)
		ON CONFLICT (id) DO UPDATE SET name = $2, state = $3, context_length = $4, max_output = $5, capabilities = $6, fallbacks = $8, updated_at = $9`
	for _, m := range want {
		if !slices.ContainsFunc(have, func(b modelRow) bool { m.created, m.access = b.created, b.access; return m == b }) {
			w.exec(ctx, "model", put, m.id, m.name, m.state, m.contextLength, m.maxOutput, m.capabilities, accessDefault, m.fallbacks, w.now)
		}
	}
	const archive = `UPDATE catalog_model SET state = $2, updated_at = $3 WHERE id = $1`
	for _, m := range have {
		if m.state != string(StateArchived) && !slices.ContainsFunc(want, func(b modelRow) bool { return b.id == m.id }) {
			w.exec(ctx, "model", archive, m.id, string(StateArchived), w.now)
		}
	}
}

func (w *writer) routes(ctx context.Context, have, want []routeRow) {
	const put = `
		INSERT INTO catalog_route (model_id, provider, vendor_model, priority, weight) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (model_id, provider, vendor_model) DO UPDATE SET priority = $4, weight = $5`
	for _, r := range want {
		if !slices.Contains(have, r) {
			w.exec(ctx, "route", put, r.model, r.provider, r.vendorModel, r.priority, r.weight)
		}
	}
	const drop = `DELETE FROM catalog_route WHERE model_id = $1 AND provider = $2 AND vendor_model = $3`
	for _, r := range have {
		if !slices.ContainsFunc(want, func(b routeRow) bool {
			return b.model == r.model && b.provider == r.provider && b.vendorModel == r.vendorModel
		}) {
			w.exec(ctx, "route", drop, r.model, r.provider, r.vendorModel)
		}
	}
}

// prices closes each open row whose prices changed and opens the next at the
// same moment. Another process may do so at the same time: then its row stays.
func (w *writer) prices(ctx context.Context, have, want []storedPrice) {
	const end = `
		UPDATE catalog_price SET effective_until = $3
		WHERE provider = $1 AND vendor_model = $2 AND effective_until IS NULL AND effective_from < $3`
	const begin = `
		INSERT INTO catalog_price (provider, vendor_model, effective_from, prices, source) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT DO NOTHING`
	for _, p := range want {
		open := slices.IndexFunc(have, func(b storedPrice) bool {
			return b.provider == p.provider && b.vendorModel == p.vendorModel && b.until.IsZero()
		})
		if open >= 0 && have[open].prices == p.prices {
			continue
		}
		w.exec(ctx, "price", end, p.provider, p.vendorModel, w.now)
		w.exec(ctx, "price", begin, p.provider, p.vendorModel, w.now, p.prices, p.source)
	}
}

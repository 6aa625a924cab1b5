package catalog

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"github.com/rephlo/rephlo/internal/sqldb"
)

// store holds this package's SQL.
type store struct{ db *sqldb.DB }

// read returns all providers, keys, models, aliases and routes, and the prices
// that are valid at now or later.
func (s store) read(ctx context.Context, now time.Time) (t tables, err error) {
	for _, part := range []func() error{
		func() (err error) { t.providers, err = s.readProviders(ctx); return err },
		func() (err error) { t.keys, err = s.readKeys(ctx); return err },
		func() (err error) { t.models, err = s.readModels(ctx); return err },
		func() (err error) { t.aliases, err = s.readAliases(ctx); return err },
		func() (err error) { t.routes, err = s.readRoutes(ctx); return err },
		func() (err error) { t.prices, err = s.readPrices(ctx, now); return err },
	} {
		if err := part(); err != nil {
			return t, fmt.Errorf("read catalogue: %w", err)
		}
	}
	return t, nil
}

func (s store) readProviders(ctx context.Context) ([]providerRow, error) {
	const q = `
		SELECT name, vendor, base_url, options, allow_private, enabled, origin, title, timeouts, draining, removed_at, version
		FROM catalog_provider ORDER BY name`
	return query(ctx, s, q, func(scan func(...any) error) (r providerRow, err error) {
		var removed sqldb.Time
		err = scan(&r.name, &r.vendor, &r.baseURL, &r.options, &r.allowPrivate, &r.enabled, &r.origin, &r.title, &r.timeouts, &r.draining, &removed, &r.version)
		r.removed = removed.Time
		return r, err
	})
}

func (s store) readKeys(ctx context.Context) ([]keyRow, error) {
	const q = `
		SELECT id, provider, origin, label, sealed, hint, weight, state, reason, created_at, updated_at
		FROM catalog_key ORDER BY provider, id`
	return query(ctx, s, q, func(scan func(...any) error) (r keyRow, err error) {
		var created, updated sqldb.Time
		err = scan(&r.id, &r.provider, &r.origin, &r.label, &r.sealed, &r.hint, &r.weight, &r.state, &r.reason, &created, &updated)
		r.created, r.updated = created.Time, updated.Time
		return r, err
	})
}

func (s store) readModels(ctx context.Context) ([]modelRow, error) {
	const q = `
		SELECT id, name, state, context_length, max_output, capabilities, access, fallbacks, created_at,
			origin, description, parameters, replacement, notice, deprecated_at, sunset_at, cache_seconds, version
		FROM catalog_model ORDER BY id`
	return query(ctx, s, q, func(scan func(...any) error) (r modelRow, err error) {
		var created, deprecated, sunset sqldb.Time
		err = scan(&r.id, &r.name, &r.state, &r.contextLength, &r.maxOutput, &r.capabilities, &r.access, &r.fallbacks, &created,
			&r.origin, &r.description, &r.parameters, &r.replacement, &r.notice, &deprecated, &sunset, &r.cacheSeconds, &r.version)
		r.created, r.deprecated, r.sunset = created.Time, deprecated.Time, sunset.Time
		return r, err
	})
}

func (s store) readAliases(ctx context.Context) ([]aliasRow, error) {
	const q = `SELECT alias, model_id FROM catalog_alias ORDER BY alias`
	return query(ctx, s, q, func(scan func(...any) error) (r aliasRow, err error) {
		return r, scan(&r.alias, &r.model)
	})
}

func (s store) readRoutes(ctx context.Context) ([]routeRow, error) {
	const q = `
		SELECT model_id, provider, vendor_model, priority, weight, limits
		FROM catalog_route ORDER BY model_id, priority, provider, vendor_model`
	return query(ctx, s, q, func(scan func(...any) error) (r routeRow, err error) {
		return r, scan(&r.model, &r.provider, &r.vendorModel, &r.priority, &r.weight, &r.limits)
	})
}

func scanPrice(scan func(...any) error) (r storedPrice, err error) {
	var from, until, verified sqldb.Time
	err = scan(&r.id, &r.provider, &r.vendorModel, &from, &until, &r.prices, &r.source, &r.author, &r.reason, &verified)
	r.from, r.until, r.verified = from.Time, until.Time, verified.Time
	return r, err
}

func (s store) readPrices(ctx context.Context, now time.Time) ([]storedPrice, error) {
	const q = `
		SELECT id, provider, vendor_model, effective_from, effective_until, prices, source, author, reason, verified_at FROM catalog_price
		WHERE effective_until IS NULL OR effective_until > $1 ORDER BY provider, vendor_model, effective_from`
	return query(ctx, s, q, scanPrice, now.UnixMicro())
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
	w.keys(ctx, have.keys, want.keys)
	w.routes(ctx, have, want.routes)
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
		INSERT INTO catalog_provider (name, vendor, base_url, options, allow_private, enabled, origin, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
		ON CONFLICT (name) DO UPDATE SET vendor = $2, base_url = $3, options = $4, allow_private = $5, enabled = $6, origin = $7,
			removed_at = NULL, version = catalog_provider.version + 1, updated_at = $8`
	for _, p := range want {
		if !slices.ContainsFunc(have, p.same) {
			w.exec(ctx, "provider", put, p.name, p.vendor, p.baseURL, p.options, p.allowPrivate, p.enabled, p.origin, w.now)
		}
	}
	const off = `UPDATE catalog_provider SET enabled = FALSE, version = version + 1, updated_at = $2 WHERE name = $1`
	for _, p := range have {
		if p.enabled && p.origin == originConfig && !slices.ContainsFunc(want, func(b providerRow) bool { return b.name == p.name }) {
			w.exec(ctx, "provider", off, p.name, w.now)
		}
	}
}

func (w *writer) models(ctx context.Context, have, want []modelRow) {
	const put = `
		INSERT INTO catalog_model (id, name, state, context_length, max_output, capabilities, access, fallbacks, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9)
		ON CONFLICT (id) DO UPDATE SET name = $2, state = $3, context_length = $4, max_output = $5, capabilities = $6, fallbacks = $8,
			version = catalog_model.version + 1, updated_at = $9`
	for _, m := range want {
		if !slices.ContainsFunc(have, m.same) {
			w.exec(ctx, "model", put, m.id, m.name, m.state, m.contextLength, m.maxOutput, m.capabilities, accessDefault, m.fallbacks, w.now)
		}
	}
	const archive = `UPDATE catalog_model SET state = $2, version = version + 1, updated_at = $3 WHERE id = $1`
	for _, m := range have {
		if m.origin == originConfig && m.state != string(StateArchived) && !slices.ContainsFunc(want, func(b modelRow) bool { return b.id == m.id }) {
			w.exec(ctx, "model", archive, m.id, string(StateArchived), w.now)
		}
	}
}

// keys replaces the configured keys and drops those that are no longer
// configured; administrators' keys stay. A replaced key is taken for good.
func (w *writer) keys(ctx context.Context, have, want []keyRow) {
	for _, k := range want {
		if !slices.ContainsFunc(have, k.same) {
			w.putKey(ctx, k)
		}
	}
	for _, k := range have {
		if k.origin == originConfig && !slices.ContainsFunc(want, func(b keyRow) bool { return b.id == k.id }) {
			w.dropKey(ctx, k.id)
		}
	}
}

func (w *writer) routes(ctx context.Context, have tables, want []routeRow) {
	const put = `
		INSERT INTO catalog_route (model_id, provider, vendor_model, priority, weight, limits) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (model_id, provider, vendor_model) DO UPDATE SET priority = $4, weight = $5, limits = $6`
	for _, r := range want {
		if !slices.Contains(have.routes, r) {
			w.exec(ctx, "route", put, r.model, r.provider, r.vendorModel, r.priority, r.weight, r.limits)
		}
	}
	const drop = `DELETE FROM catalog_route WHERE model_id = $1 AND provider = $2 AND vendor_model = $3`
	for _, r := range have.routes {
		if !have.adminModel(r.model) && !slices.ContainsFunc(want, func(b routeRow) bool {
			return b.model == r.model && b.provider == r.provider && b.vendorModel == r.vendorModel
		}) {
			w.exec(ctx, "route", drop, r.model, r.provider, r.vendorModel)
		}
	}
}

// prices closes each open row whose prices changed and opens the next at the
// same moment. Another process may do so at the same time: then its row stays.
// A row that somebody wrote is not replaced, nor is one that is yet to come.
func (w *writer) prices(ctx context.Context, have, want []storedPrice) {
	for _, p := range want {
		open := slices.IndexFunc(have, func(b storedPrice) bool {
			return b.provider == p.provider && b.vendorModel == p.vendorModel && b.until.IsZero()
		})
		if open >= 0 && (have[open].prices == p.prices || have[open].author != "" || have[open].from.After(p.from)) {
			continue
		}
		w.endPrice(ctx, p.provider, p.vendorModel, p.from)
		w.beginPrice(ctx, p)
	}
}

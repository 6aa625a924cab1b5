package catalog

import (
	"context"
	"fmt"
	"time"

	"github.com/rephlo/rephlo/internal/sqldb"
)

// lock makes writers of the catalogue come one after the other: it holds until
// the transaction in ctx ends. It returns the number of the change.
func (s store) lock(ctx context.Context) (version int64, err error) {
	const q = `UPDATE catalog_version SET version = version + 1 WHERE one = 1 RETURNING version`
	if err := s.db.Q(ctx).QueryRowContext(ctx, q).Scan(&version); err != nil {
		return 0, fmt.Errorf("lock catalogue: %w", err)
	}
	return version, nil
}

func (w *writer) putKey(ctx context.Context, k keyRow) {
	const q = `
		INSERT INTO catalog_key (id, provider, origin, label, sealed, hint, weight, state, reason, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
		ON CONFLICT (id) DO UPDATE SET label = $4, sealed = $5, hint = $6, weight = $7, state = $8, reason = $9, updated_at = $11`
	w.exec(ctx, "key", q, k.id, k.provider, k.origin, k.label, k.sealed, k.hint, k.weight, string(k.state), k.reason, k.created.UnixMicro(), w.now)
}

func (w *writer) dropKey(ctx context.Context, id string) {
	const q = `DELETE FROM catalog_key WHERE id = $1`
	w.exec(ctx, "key", q, id)
}

func (w *writer) putProvider(ctx context.Context, p providerRow) {
	const q = `
		INSERT INTO catalog_provider (name, vendor, base_url, options, allow_private, enabled, origin, title, timeouts, draining, removed_at, version, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
		ON CONFLICT (name) DO UPDATE SET vendor = $2, base_url = $3, options = $4, allow_private = $5, enabled = $6, title = $8, timeouts = $9,
			draining = $10, removed_at = $11, version = $12, updated_at = $13`
	w.exec(ctx, "provider", q, p.name, p.vendor, p.baseURL, p.options, p.allowPrivate, p.enabled, p.origin, p.title, p.timeouts,
		p.draining, sqldb.TimeArg(p.removed), p.version, w.now)
}

func (w *writer) putModel(ctx context.Context, m modelRow) {
	const q = `
		INSERT INTO catalog_model (id, name, state, context_length, max_output, capabilities, access, fallbacks, created_at, updated_at,
			origin, description, parameters, replacement, notice, deprecated_at, sunset_at, version, cache_seconds)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)
		ON CONFLICT (id) DO UPDATE SET name = $2, state = $3, context_length = $4, max_output = $5, capabilities = $6, access = $7, fallbacks = $8,
			updated_at = $10, origin = $11, description = $12, parameters = $13, replacement = $14, notice = $15, deprecated_at = $16,
			sunset_at = $17, version = $18, cache_seconds = $19`
	w.exec(ctx, "model", q, m.id, m.name, m.state, m.contextLength, m.maxOutput, m.capabilities, m.access, m.fallbacks, m.created.UnixMicro(), w.now,
		m.origin, m.description, m.parameters, m.replacement, m.notice, sqldb.TimeArg(m.deprecated), sqldb.TimeArg(m.sunset), m.version, m.cacheSeconds)
}

// replaceAliases makes names the aliases of a model.
func (w *writer) replaceAliases(ctx context.Context, model string, names []string) {
	const drop = `DELETE FROM catalog_alias WHERE model_id = $1`
	w.exec(ctx, "aliases", drop, model)
	const add = `INSERT INTO catalog_alias (alias, model_id) VALUES ($1, $2)`
	for _, name := range names {
		w.exec(ctx, "alias", add, name, model)
	}
}

// replaceRoutes makes rows the routes of a model.
func (w *writer) replaceRoutes(ctx context.Context, model string, rows []routeRow) {
	const drop = `DELETE FROM catalog_route WHERE model_id = $1`
	w.exec(ctx, "routes", drop, model)
	const add = `
		INSERT INTO catalog_route (model_id, provider, vendor_model, priority, weight, limits)
		VALUES ($1, $2, $3, $4, $5, $6)`
	for _, r := range rows {
		w.exec(ctx, "route", add, model, r.provider, r.vendorModel, r.priority, r.weight, r.limits)
	}
}

// endPrice closes the open row of a vendor's model at a time after its start.
func (w *writer) endPrice(ctx context.Context, provider, vendorModel string, at time.Time) {
	const q = `
		UPDATE catalog_price SET effective_until = $3
		WHERE provider = $1 AND vendor_model = $2 AND effective_until IS NULL AND effective_from < $3`
	w.exec(ctx, "price", q, provider, vendorModel, at.UnixMicro())
}

// boundPrice moves the end of a row; the zero time opens it.
func (w *writer) boundPrice(ctx context.Context, id string, until time.Time) {
	const q = `UPDATE catalog_price SET effective_until = $2 WHERE id = $1`
	w.exec(ctx, "price", q, id, sqldb.TimeArg(until))
}

func (w *writer) beginPrice(ctx context.Context, p storedPrice) {
	const q = `
		INSERT INTO catalog_price (id, provider, vendor_model, effective_from, effective_until, prices, source, author, reason, verified_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING`
	w.exec(ctx, "price", q, p.id, p.provider, p.vendorModel, p.from.UnixMicro(), sqldb.TimeArg(p.until), p.prices, p.source, p.author, p.reason, w.now)
}

func (w *writer) dropPrice(ctx context.Context, id string) {
	const q = `DELETE FROM catalog_price WHERE id = $1`
	w.exec(ctx, "price", q, id)
}

func (w *writer) verifyPrice(ctx context.Context, id string) {
	const q = `UPDATE catalog_price SET verified_at = $2 WHERE id = $1`
	w.exec(ctx, "price", q, id, w.now)
}

func (w *writer) remember(ctx context.Context, e Event) {
	const q = `
		INSERT INTO catalog_history (id, kind, subject, action, at, actor, reason, before, after)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`
	w.exec(ctx, "history", q, e.ID, e.Kind, e.Subject, e.Action, w.now, e.Actor, e.Reason, string(e.Before), string(e.After))
}

const eventColumns = `SELECT id, kind, subject, action, at, actor, reason, before, after FROM catalog_history`

func scanEvent(scan func(...any) error) (e Event, err error) {
	var at sqldb.Time
	var before, after string
	err = scan(&e.ID, &e.Kind, &e.Subject, &e.Action, &at, &e.Actor, &e.Reason, &before, &after)
	e.At, e.Before, e.After = at.Time, []byte(before), []byte(after)
	return e, err
}

// events returns the newest changes of a kind before the event with this id;
// of one subject, or with an empty one of all.
func (s store) events(ctx context.Context, kind, subject, before string, limit int) ([]Event, error) {
	const q = eventColumns + `
		WHERE kind = $1 AND ($2 = '' OR subject = $2) AND ($3 = '' OR id < $3) ORDER BY id DESC LIMIT $4`
	return query(ctx, s, q, scanEvent, kind, subject, before, limit)
}

// event returns one change of a kind; none is no error.
func (s store) event(ctx context.Context, kind, id string) ([]Event, error) {
	const q = eventColumns + ` WHERE kind = $1 AND id = $2`
	return query(ctx, s, q, scanEvent, kind, id)
}

const priceColumns = `
	SELECT id, provider, vendor_model, effective_from, effective_until, prices, source, author, reason, verified_at FROM catalog_price`

// pricesOf returns the rows of one vendor's model, the oldest first.
func (s store) pricesOf(ctx context.Context, provider, vendorModel string) ([]storedPrice, error) {
	const q = priceColumns + ` WHERE provider = $1 AND vendor_model = $2 ORDER BY effective_from`
	return query(ctx, s, q, scanPrice, provider, vendorModel)
}

// priceByID returns one row; none is no error.
func (s store) priceByID(ctx context.Context, id string) ([]storedPrice, error) {
	const q = priceColumns + ` WHERE id = $1`
	return query(ctx, s, q, scanPrice, id)
}

// listPrices returns rows from those that begin last on, behind a row; empty
// filters allow all.
func (s store) listPrices(ctx context.Context, f PriceFilter, limit int) ([]storedPrice, error) {
	const q = priceColumns + `
		WHERE ($1 = '' OR provider = $1) AND ($2 = '' OR vendor_model = $2) AND ($4 = '' OR (effective_from, id) < ($3, $4))
		ORDER BY effective_from DESC, id DESC LIMIT $5`
	return query(ctx, s, q, scanPrice, f.Provider, f.VendorModel, f.After.From, f.After.ID, limit)
}

package catalog

import (
	"bytes"
	"time"
)

// Who manages a row. The configuration of the process brings its own rows in
// line at each start and leaves those of administrators alone.
const (
	originConfig = "configuration"
	originAdmin  = "admin"
)

// tables are the rows that the snapshot is made of.
type tables struct {
	providers []providerRow
	keys      []keyRow
	models    []modelRow
	aliases   []aliasRow
	routes    []routeRow
	prices    []storedPrice
}

type providerRow struct {
	name, vendor, baseURL string
	options               string
	allowPrivate, enabled bool
	origin, title         string
	timeouts              string
	draining              bool
	removed               time.Time
	version               int64
}

// same reports whether b says what the configuration says in a.
func (a providerRow) same(b providerRow) bool {
	return a.name == b.name && a.vendor == b.vendor && a.baseURL == b.baseURL && a.options == b.options &&
		a.allowPrivate == b.allowPrivate && a.enabled == b.enabled && a.origin == b.origin && b.removed.IsZero()
}

type keyRow struct {
	id, provider, origin string
	label                string
	sealed               []byte
	hint                 string
	weight               int64
	state                KeyState
	reason               string
	created, updated     time.Time
}

func (a keyRow) same(b keyRow) bool {
	return a.id == b.id && a.provider == b.provider && bytes.Equal(a.sealed, b.sealed)
}

type modelRow struct {
	id, name, state          string
	contextLength, maxOutput int64
	capabilities, access     string
	fallbacks                string
	created                  time.Time

	origin, description string
	parameters          string
	replacement, notice string
	deprecated, sunset  time.Time
	cacheSeconds        int64
	version             int64
}

// same reports whether b says what the configuration says in a.
func (a modelRow) same(b modelRow) bool {
	return a.id == b.id && a.name == b.name && a.state == b.state && a.contextLength == b.contextLength &&
		a.maxOutput == b.maxOutput && a.capabilities == b.capabilities && a.fallbacks == b.fallbacks
}

type aliasRow struct{ alias, model string }

type routeRow struct {
	model, provider, vendorModel string
	priority, weight             int64
	limits                       string
}

type storedPrice struct {
	id, provider, vendorModel string
	from, until               time.Time
	prices, source            string
	author, reason            string
	verified                  time.Time
}

// keyAD is what the key of a row is sealed for.
func keyAD(id string) string { return "catalog_key|sealed|" + id }

// configuredKey is the id of the key that a provider has from the
// configuration.
func configuredKey(provider string) string { return "pkey_" + provider }

// Package catalog knows which models people can call, who serves them and what
// the vendors ask for them.
//
// A model has a public id and aliases. Its routes map it to (provider, vendor
// model): a provider is a configured account at a vendor, with a base URL and
// keys. A route with one usable key is a deployment, which the gateway chooses
// among. A price row belongs to (provider, vendor model) and to an interval of time;
// rows do not overlap and past rows never change. The price of a call is that
// of the model's first route, whoever answers it.
//
// What the gateway asks is answered from an immutable snapshot in memory, which
// is replaced when the message "catalog.changed" says so. Keys are sealed in
// the database, each for its own row, and unsealed only into the snapshot.
//
// Rows are written by administrators and by the configuration of the process:
// Start brings the latter's own in line with it, in one transaction and without
// effect when nothing changed, and leaves the others alone. A provider that is no longer configured is switched off, and a model
// that has no route left is archived; both come back with the configuration.
// The provider "test" with its models is always there.
//
// Writers come one after the other (catalog_version); every change of an
// administrator has a row in catalog_history, without secrets.
//
// Tables: catalog_version, catalog_provider, catalog_key, catalog_model,
// catalog_alias, catalog_route, catalog_price, catalog_history.
package catalog

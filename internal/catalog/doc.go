// Package catalog knows which models people can call, who serves them and what
// the vendors ask for them.
//
// A model has a public id. Its routes map it to (provider, vendor model): a
// provider is a configured account at a vendor, with a base URL and a key. A
// price row belongs to (provider, vendor model) and to an interval of time;
// rows do not overlap and past rows never change. The price of a call is that
// of the model's first route, whoever answers it.
//
// What the gateway asks is answered from an immutable snapshot in memory, which
// is replaced when the message "catalog.changed" says so. Keys are sealed in
// the database, each for its own row, and unsealed only into the snapshot.
//
// Providers come from the configuration of the process: Start brings the
// tables in line with it, in one transaction and without effect when nothing
// changed. A provider that is no longer configured is switched off, and a model
// that has no route left is archived; both come back with the configuration.
// The provider "test" with its models is always there.
//
// Tables: catalog_provider, catalog_model, catalog_route, catalog_price.
package catalog

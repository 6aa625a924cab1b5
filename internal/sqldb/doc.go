// Package sqldb opens the database and runs SQL on it: the same text on
// SQLite, which is embedded and the default, and on PostgreSQL.
//
// Queries are written once, in the SQL that both engines share (see
// docs/database.md). Times, identifiers and random values come from Go as
// parameters, never from SQL functions. InTx puts the transaction into the
// context, so that the stores of several domains join one transaction.
//
// SQLite has one writer at a time. Within the process InTx queues for it, so
// nobody polls a busy file; other processes wait by busy_timeout.
package sqldb

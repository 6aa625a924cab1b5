// Package credit is the ledger: it promises that nobody spends more than was
// granted, that no settlement which was acknowledged is ever lost, and that
// every hold is resolved exactly once.
//
// # Accounts
//
// A grant is the only account of a user. Every line of the ledger is a transfer
// between one grant and one system account that its kind names, so a posting
// that does not balance cannot be written. Grants are used in burn order: what
// expires first, then by source, then the oldest.
//
// # The hot half
//
// Reserve sets credits aside by arithmetic on a lease in memory, which one
// transaction has set aside in the database. On SQLite, with one process, that
// is the user's whole free balance; where processes share a PostgreSQL it is a
// portion. What happens is queued for a lane, a goroutine that writes
// everything that queued during its last commit in one transaction. Gate A,
// Hold.Durable, opens when the hold is committed; gate B, the return of Settle,
// when the settlement is. A hold whose settlement queues before it is written
// goes into the same transaction with it and never gets an open row.
//
// A lane is a row of credit_lane: sequence, hash chain and fence. The first
// statement of each batch moves the row from the batch before, for this epoch;
// a process that was taken over changes no row with it, so its batch fails
// whole, and it stops admitting. When the answer to a commit was lost, the same
// batch is sent again: either its fence finds the row as it was, or the lane
// shows this batch and its hash.
//
// One operation that the database refuses (a CHECK, a unique key, a row count)
// is found by writing the batch in halves; it fails alone. A failing database
// fails no operation: the batch is tried again for ever, and after three
// seconds, or when the disk is full, new holds are refused.
//
// # The spool
//
// From then on endings also go to the spool, a file whose space was set aside
// before, with one flush for all that wait. On SQLite an ending that is there
// counts: gate B opens, since only the next start of this installation can
// resolve the hold, and it reads the spool first. On PostgreSQL another node
// may resolve it, so the spool only keeps the exact price. Endings stay queued
// for the database all the same; when it has taken them the spool is emptied.
// A start gives each open hold its ending from the spool, drops the others, and
// notes what another node charged too little. An ending whose hold is not in
// the database never goes there: nothing was promised for it.
//
// When a flush of SQLite or of the spool fails, memory proves nothing any more:
// everything stops with ErrBroken and the process has to end.
//
// At start the lanes of the process before are taken over by raising their
// epoch. Each of its open holds is settled at its journalled progress or
// released, and its leases go home.
//
// # Caps
//
// A call may name limits on spending that it must fit into: a day's, a key's, an
// app's. A cap is a purse of its own beside the credits: lanes lease of it,
// Reserve sets aside of it in the same step or of nothing at all, the ending
// posts the charge, an open row remembers its caps, and recovery gives back what
// a dead process held. The limit comes with each call; the database guards that
// what is used and leased never passes it.
//
// # Several processes
//
// Each process owns lanes of its own, so no two write one lease. A cut takes a
// share of what is free, at least what the waiting calls need. Who finds too
// little asks the others (credit_recall, and a notification that makes it
// faster); they return what no hold keeps, and lease just what each call needs
// until there is plenty again. A call is refused only when the balance is too
// small, or when nobody returned enough in time; then it may try again.
//
// A process whose beat stands still for TakeOver, by the watch of one that
// could read all along, is dead: its lanes are fenced and resolved like those
// at a start. If it was only paused, its next batch changes nothing. It claims
// new lanes, and what its calls would have cost more than they were resolved
// at is noted as uncollected. No step relies on a clock that two processes
// share, or on a message that arrives.
//
// # The cold half
//
// Grant and Expire write in their caller's transaction, also from processes
// that do not serve, on lane 0. It has no owner: a transaction updates its row
// first and so keeps it until its end, which puts all cold batches in one
// order. Locks are taken in the order cold lane, hot lane, grants by id, leases.
//
// # Tamper evidence
//
// The transfers of a batch are the leaves of a Merkle tree (RFC 6962), and the
// batches of a lane a chain of hashes. Once a day a root over the last batches
// of all lanes is signed, with the root of the day before, and goes to the log:
// who kept it can prove later what was written before it. Verify recomputes
// everything from the transfers.
//
// Which test shows that a promise is kept, which ending of a hold is tried
// where, and which guard, broken, fails which test: docs/ledger-tests.md, made
// from the tables of package mutants.
//
// # Concurrency
//
// A Hold's mutex comes before its purse's, and that before its queue's. No lock
// is held across I/O, but the spool's own, which no call takes. Every goroutine ends with Stop.
//
// Tables: credit_lane, credit_grant, credit_lease, credit_hold, credit_recall,
// credit_transfer, credit_batch, credit_root, credit_root_key,
// credit_uncollected, credit_cap, credit_cap_lease, credit_given.
package credit

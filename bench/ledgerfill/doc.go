// Package ledgerfill writes a large ledger into an empty, migrated database,
// much faster than calls would: grants, holds and their endings in the batches
// of hash chains, usage records whose prices are right, open holds with their
// leases. `rephlo ledger verify` finds nothing wrong with it.
//
// The chain is computed by code of its own, after the description of package
// credit and not with its functions, so a ledger that verifies also shows that
// the two agree.
//
// People are given a plan that has expired, the plan of this month and a pack;
// each call is somebody's at random, one in twenty the same one's, costs what a small model costs, and is
// open for as long as a few dozen others. Calls that outlast a plan have two
// parts. One call in fifty is released.
package ledgerfill

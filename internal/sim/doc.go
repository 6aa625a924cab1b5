// Package sim runs several nodes of the ledger against one database, in one
// process and on a clock that does not take time, and lets everything go wrong
// that can: processes die, stop for a while and go on, lose the database, lose
// the answer to a commit; messages come late, twice or never; clocks jump.
//
// All of it follows from a seed. Afterwards the books must be right: the ledger
// verifies, nothing was overspent, each hold was resolved once, each settlement
// that was acknowledged is there, and nobody was refused credits that were there.
//
// The nodes, their SQL and the database are real; only the clock and the faults
// are not. Each run is a bubble of testing/synctest, so whatever waits in it
// waits for nothing. `make sim SEEDS=100000` runs more seeds than the tests do,
// `make sim SEED=7` one again with everything that its clients saw. The same
// seed makes the same plan, but which of two goroutines runs first at one moment
// is for the scheduler to say: run a seed that failed several times.
package sim

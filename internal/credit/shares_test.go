package credit_test

import (
	"os"

	"github.com/rephlo/rephlo/internal/sqldb"
)

// share returns how much of a long test to run: all of it in make faults, some
// of it elsewhere, where the race detector slows it down.
func share(all, some int) int {
	if os.Getenv("REPHLO_FAULTS") == "all" {
		return all
	}
	return some
}

// engineShare is share for a test that takes longer on PostgreSQL.
func engineShare(db *sqldb.DB, all, some, allPostgres, somePostgres int) int {
	if db.Engine() == sqldb.Postgres {
		return share(allPostgres, somePostgres)
	}
	return share(all, some)
}

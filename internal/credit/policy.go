package credit

import (
	"runtime"
	"time"

	"github.com/rephlo/rephlo/internal/sqldb"
)

// Policy are numbers that tests change; zero means the default.
type Policy struct {
	Lanes  int           // writers: 1 on SQLite; on PostgreSQL one per 8 cores, at least 2
	Queue  int           // places in the queue of a lane: 8,192
	Batch  int           // operations in one transaction: 1,024
	Beat   time.Duration // between two signs of life without work: 2 s
	Idle   time.Duration // after which a user's lease is returned: 10 min, or 10 s when shared
	Forget time.Duration // after which an open hold without renewal is resolved: 5 min
	Sweep  time.Duration // between two looks for idle leases and forgotten holds: 15 s, or 2 s when shared

	// Shared says that other processes may serve the same database, as always
	// on PostgreSQL: leases are portions, and come back when another asks.
	Shared   bool
	Poll     time.Duration // between two looks for what others ask: 250 ms
	Answer   time.Duration // how long others have to return their leases: 300 ms
	Deaf     time.Duration // the same where notifications do not arrive: 600 ms
	TakeOver time.Duration // how long another process's beat stands still before it counts as dead: 30 s
	Unseen   time.Duration // a gap between looks at the beats after which the watch begins again: 5 s
	Spool    int           // bytes set aside for endings that the database does not take: 64 MiB
}

func (p Policy) filled(engine sqldb.Engine) Policy {
	lanes, idle, sweep := 1, 10*time.Minute, 15*time.Second
	shared := p.Shared || engine == sqldb.Postgres
	if shared {
		lanes, idle, sweep = max(2, runtime.GOMAXPROCS(0)/8), 10*time.Second, 2*time.Second
	}
	return Policy{
		Lanes: or(p.Lanes, lanes), Queue: or(p.Queue, 8192), Batch: or(p.Batch, 1024),
		Beat: or(p.Beat, 2*time.Second), Idle: or(p.Idle, idle), Forget: or(p.Forget, 5*time.Minute), Sweep: or(p.Sweep, sweep),
		Shared: shared, Poll: or(p.Poll, 250*time.Millisecond), Answer: or(p.Answer, 300*time.Millisecond),
		Deaf: or(p.Deaf, 600*time.Millisecond), TakeOver: or(p.TakeOver, 30*time.Second), Unseen: or(p.Unseen, 5*time.Second), Spool: or(p.Spool, spoolSize),
	}
}

func or[T int | time.Duration](v, otherwise T) T {
	if v > 0 {
		return v
	}
	return otherwise
}

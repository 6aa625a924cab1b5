package app

import (
	"context"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/rephlo/rephlo/internal/health"
)

// nearlyFull is how full the disk of the data folder may be, in percent: from
// then on a ledger that cannot be written is near.
const nearlyFull = 90

// diskState warns before the disk of folder is full.
func diskState(folder string) health.Check {
	return func(context.Context) (health.State, string) {
		var s unix.Statfs_t
		if err := unix.Statfs(folder, &s); err != nil {
			return health.Degraded, "the data folder cannot be looked at"
		}
		return fullness(s.Bavail, s.Blocks)
	}
}

// fullness judges a disk by its free and all its blocks.
func fullness(free, all uint64) (health.State, string) {
	if all == 0 {
		return health.OK, ""
	}
	if full := 100 - free*100/all; full >= nearlyFull {
		return health.Degraded, fmt.Sprintf("the disk of the data folder is %d %% full", full)
	}
	return health.OK, ""
}

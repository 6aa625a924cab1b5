// Package lab is what the benchmarks share: how busy the machine is, and
// databases that are thrown away.
package lab

import (
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// ticks is how often a second the kernel counts processor time.
const ticks = 100

// Work is processor time: of this process, of the whole machine, and what the
// machine could have done.
type Work struct{ Own, machine, possible time.Duration }

// Now returns the work that was done so far.
func Now() (w Work) {
	var use syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &use); err == nil {
		w.Own = time.Duration(use.Utime.Nano() + use.Stime.Nano())
	}
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return w
	}
	line, _, _ := strings.Cut(string(text), "\n")
	for i, f := range strings.Fields(line)[1:] {
		n, _ := strconv.ParseInt(f, 10, 64)
		if i >= 8 {
			break // guests are counted as user time already
		}
		t := time.Duration(n) * time.Second / ticks
		w.possible += t
		if i != 3 && i != 4 { // idle, waiting for the disk
			w.machine += t
		}
	}
	return w
}

// Others returns which share of the machine somebody else took since before,
// when we and what we started took ours.
func (w Work) Others(before Work, ours time.Duration) float64 {
	possible := w.possible - before.possible
	if possible <= 0 {
		return 0
	}
	return max(0, float64(w.machine-before.machine-ours)/float64(possible))
}

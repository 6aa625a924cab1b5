package sim

import (
	"math/rand/v2"
	"strings"
	"sync"
	"time"
)

// channel is where the ledger's processes tell each other something.
const channel = "rephlo_credit"

// post carries messages from one process to the others, as well as it can.
// SQLite has no messages between processes, so it takes those that a process
// tells itself.
type post struct {
	w    *sim
	mu   sync.Mutex
	rand *rand.Rand          // guarded by mu
	from map[string]*process // guarded by mu: who sends under a name
	sent int                 // guarded by mu
	// How often a message is lost or doubled, of 100, and how late it comes.
	lost, doubled int
	late          time.Duration
}

func (b *post) send(p *process, payload string) {
	sender := strings.Split(payload, "|")[1]
	b.mu.Lock()
	defer b.mu.Unlock()
	first, known := b.from[sender]
	if known && first != p {
		return // it was delivered here
	}
	b.from[sender] = p
	b.sent++
	for _, n := range b.w.nodes {
		if n == p.node {
			continue
		}
		copies := 1
		if b.rand.IntN(100) < b.lost {
			copies = 0
		} else if b.rand.IntN(100) < b.doubled {
			copies = 2
		}
		for range copies {
			delay := time.Duration(b.rand.Int64N(int64(b.late) + 1))
			b.w.wg.Go(func() {
				time.Sleep(delay)
				b.w.deliver(n, payload)
			})
		}
	}
}

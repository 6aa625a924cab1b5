package credit

import (
	"strconv"
	"sync/atomic"
	"time"

	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/obs"
)

// kinds and endings are the values of the labels that count them.
var (
	kinds = []kind{
		kindGrant, kindHold, kindCharge, kindRelease, kindExpire, kindRolloverOut, kindRolloverIn, kindAdjust, kindClawback, kindReversal,
	}
	endings = []Ending{Finished, Estimated, Failed, ProviderBroke, ClientGone, Recovered, Forgotten}
	causes  = []string{causeOverrun, causeLate, causeAdjust, causeClawback}
)

// meters is what the ledger measures. The histograms are fed on the path of a
// call, the counts by the lanes' writers.
type meters struct {
	admit, gateA, gateB, commit, batch obs.Histogram

	moved       counts // µcr by kind of transfer
	ended       counts // calls by ending
	uncollected counts // µcr by cause

	cuts, cutsFailed, recalls atomic.Int64

	verified, findings atomic.Int64 // Unix seconds of the last run of Verify over everything, what it found
}

// counts are numbers for a fixed set of names. What is not in the set is
// counted as other.
type counts struct {
	names []string
	n     []atomic.Int64
}

func newCounts[T ~string](names []T) counts {
	c := counts{n: make([]atomic.Int64, len(names)+1)}
	for _, name := range names {
		c.names = append(c.names, string(name))
	}
	c.names = append(c.names, "other")
	return c
}

func (c *counts) add(name string, n int64) {
	last := len(c.names) - 1
	for i, s := range c.names[:last] {
		if s == name {
			c.n[i].Add(n)
			return
		}
	}
	c.n[last].Add(n)
}

// emit shows every name of the set, divided by unit.
func (c *counts) emit(unit float64) func(obs.Emit) {
	return func(emit obs.Emit) {
		for i, name := range c.names {
			if n := c.n[i].Load(); n > 0 || i < len(c.names)-1 {
				emit(float64(n)/unit, name)
			}
		}
	}
}

// newMeters registers what s measures with m, which may be nil.
func newMeters(m *obs.Metrics, s *Service) *meters {
	gate := func(name string) obs.Histogram {
		return m.Histogram("ledger_gate_seconds", "How long a call waited until its hold (a) or its settlement (b) was durable.", obs.Latencies, obs.Label{Name: "gate", Value: name})
	}
	t := &meters{
		admit:  m.Histogram("ledger_admit_seconds", "How long it took to set credits aside for a call.", obs.Latencies),
		gateA:  gate("a"),
		gateB:  gate("b"),
		commit: m.Histogram("ledger_commit_seconds", "How long the database took for a batch of the ledger.", obs.Latencies),
		batch:  m.Histogram("ledger_batch_operations", "Operations in a batch of the ledger.", []float64{0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024}),
		moved:  newCounts(kinds), ended: newCounts(endings), uncollected: newCounts(causes),
	}
	perCredit := float64(money.Credit)
	m.Counter("credits_total", "Credits that this process has moved in the ledger.", []string{"kind"}, t.moved.emit(perCredit))
	m.Counter("ledger_endings_total", "Calls that have ended, by how.", []string{"ending"}, t.ended.emit(1))
	m.Counter("ledger_uncollected_credits_total", "Credits that were due, for calls or taken back, and that nobody had.", []string{"cause"}, t.uncollected.emit(perCredit))
	m.Counter("ledger_cuts_total", "Leases of credits that were asked of the database.", []string{"result"}, func(emit obs.Emit) {
		emit(float64(t.cuts.Load()), "done")
		emit(float64(t.cutsFailed.Load()), "failed")
	})
	for name, c := range map[string]struct {
		help string
		n    *atomic.Int64
	}{
		"ledger_recalls_total":         {"Times that this process has asked the others for credits.", &t.recalls},
		"ledger_refused_total":         {"Operations that would have broken an invariant of the ledger.", &s.stats.refused},
		"ledger_orphans_total":         {"Open holds of dead processes that were resolved.", &s.stats.orphans},
		"ledger_forgotten_holds_total": {"Holds that nobody has ended, which is a bug.", &s.stats.forgotten},
		"ledger_fenced_total":          {"Lanes that another process has taken over from this one.", &s.stats.fenced},
		"ledger_spooled_total":         {"Endings that went to the spool.", &s.stats.spooled},
		"ledger_replayed_total":        {"Endings that a start has read from the spool.", &s.stats.replayed},
	} {
		m.Counter(name, c.help, nil, func(emit obs.Emit) { emit(float64(c.n.Load())) })
	}
	t.gauges(m, s)
	return t
}

func (t *meters) gauges(m *obs.Metrics, s *Service) {
	perLane := func(name, help string, value func(l *lane) float64) {
		m.Gauge(name, help, []string{"lane"}, func(emit obs.Emit) {
			for _, l := range s.owned() {
				emit(value(l), strconv.FormatInt(l.no, 10))
			}
		})
	}
	perLane("ledger_queue_operations", "Operations that wait for the database.", func(l *lane) float64 {
		waiting, _ := l.queue.counts()
		return float64(waiting)
	})
	perLane("ledger_epoch", "How often a lane has changed its owner.", func(l *lane) float64 { return float64(l.epoch) })
	m.Gauge("reservations_open", "Holds without an ending.", nil, func(emit obs.Emit) { emit(float64(s.Stats().Open)) })
	m.Gauge("spool_bytes", "Bytes of the spool that are used.", nil, func(emit obs.Emit) {
		_, bytes := s.spool.usage()
		emit(float64(bytes))
	})
	m.Gauge("spool_endings", "Endings in the spool that the database has not taken.", nil, func(emit obs.Emit) {
		n, _ := s.spool.usage()
		emit(float64(n))
	})
	m.Gauge("ledger_beat_age_seconds", "Since the lane that wrote longest ago has written.", nil, func(emit obs.Emit) {
		if lanes := s.owned(); len(lanes) > 0 {
			emit(beatAge(lanes).Seconds())
		}
	})
	m.Gauge("ledger_direct_users", "Users whose credits are so short that each call leases its own.", nil, func(emit obs.Emit) {
		direct, _ := s.purses.direct()
		emit(float64(direct))
	})
	m.Gauge("ledger_verify_findings", "What the last verification of the whole ledger has found.", nil, func(emit obs.Emit) {
		if t.verified.Load() > 0 {
			emit(float64(t.findings.Load()))
		}
	})
	m.Gauge("ledger_verify_age_seconds", "Since this process has verified the whole ledger.", nil, func(emit obs.Emit) {
		if at := t.verified.Load(); at > 0 {
			emit(float64(s.now().Unix() - at))
		}
	})
	m.Gauge("ledger_root_age_seconds", "Since the end of the last day that has a signed root.", nil, func(emit obs.Emit) {
		if day := s.rootDay.Load(); day > 0 {
			emit(float64(s.now().Unix() - (day+1)*secondsPerDay))
		}
	})
}

const secondsPerDay = 24 * 60 * 60

// beatAge is how long ago the lane has written that has written longest ago.
func beatAge(lanes []*lane) time.Duration {
	oldest := monotonic()
	for _, l := range lanes {
		oldest = min(oldest, time.Duration(l.wrote.Load()))
	}
	return monotonic() - oldest
}

// direct returns how many users lease for each call, and how many there are in
// memory.
func (ps *purses) direct() (direct, all int) {
	for i := range ps.shards {
		s := &ps.shards[i]
		s.mu.RLock()
		all += len(s.m)
		for _, p := range s.m {
			p.mu.Lock()
			if p.direct {
				direct++
			}
			p.mu.Unlock()
		}
		s.mu.RUnlock()
	}
	return direct, all
}

// wroteBatch notes what a batch has done, once it is committed.
func (t *meters) wroteBatch(p *plan, ops []op, took time.Duration) {
	t.commit.Seconds(took)
	t.batch.Observe(float64(len(ops)))
	t.movedAll(p.transfers)
	for i := range p.overs {
		t.uncollected.add(p.overs[i].cause, p.overs[i].amount)
	}
	for i := range ops {
		if o := &ops[i]; o.kind == opEnd && o.hold.refused == nil {
			t.ended.add(string(o.end.cause), 1)
		}
	}
}

func (t *meters) movedAll(ts []transfer) {
	for i := range ts {
		t.moved.add(string(ts[i].kind), ts[i].amount)
	}
}

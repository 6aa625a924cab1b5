package credit

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/money"
)

// What a call is told that would pass a limit on spending.
var (
	ErrDayCap = fault.New(fault.RateLimited, "daily_credit_limit", "The credits for today are used up. Try again tomorrow (UTC), or ask for less.").Final()
	ErrKeyCap = fault.New(fault.PaymentRequired, "key_budget_exceeded", "The budget of this API key is used up. Raise it, use another key, or ask for less.").Final()
	ErrAppCap = fault.New(fault.PaymentRequired, "app_budget_exceeded", "The monthly limit of this app is used up. Raise it in your account, or ask for less.").Final()
)

// capsKept is how long what was used of a cap is remembered after its window
// began: longer than any window.
const capsKept = 62 * 24 * time.Hour

// maxCaps is how many caps one call can have.
const maxCaps = 4

// Cap says that Owner spends at most Limit in the window that starts at Window
// (zero: in total). All calls of an owner are of one user. A Limit that was
// lowered stops new holds; open ones end as they would have.
type Cap struct {
	Owner  string // key_…, or the like; at most 128 bytes
	Window time.Time
	Limit  money.Credits
	Full   *fault.Error // ErrDayCap, ErrKeyCap or ErrAppCap
}

func (c Cap) key() capKey {
	if c.Window.IsZero() {
		return capKey{c.Owner, 0}
	}
	return capKey{c.Owner, c.Window.UnixMicro()}
}

func checkCaps(caps []Cap) error {
	if len(caps) > maxCaps {
		return fmt.Errorf("%w: %d caps", ErrInvalid, len(caps))
	}
	for i := range caps {
		if c := &caps[i]; c.Owner == "" || len(c.Owner) > maxRef || c.Limit < 0 || c.Full == nil {
			return fmt.Errorf("%w: a cap without owner or limit", ErrInvalid)
		}
	}
	return nil
}

// capKey names a cap: its owner, and when its window starts in Unix
// microseconds.
type capKey struct {
	owner  string
	window int64
}

func compareCaps(a, b capKey) int {
	return cmp.Or(cmp.Compare(a.owner, b.owner), cmp.Compare(a.window, b.window))
}

// allowance is what this process may spend of one cap. The purse's mutex guards
// it, and it stands on the purse's lane like the leases.
type allowance struct {
	key                 capKey
	leased, held, spent int64
	// others is what was used, and what other processes have leased, as of the
	// last cut. Of that they have away free and heldAway held.
	others, away, heldAway int64
	size                   int64 // what was free after the last cut
}

// free is what can be held at once under limit.
func (a *allowance) free(limit int64) int64 {
	return min(a.leased, max(limit-a.others, 0)) - a.held - a.spent
}

// idle is what is leased and neither held nor spent.
func (a *allowance) idle() int64 { return max(a.leased-a.held-a.spent, 0) }

// capCut is the part of a round that leases of one cap.
type capCut struct {
	allowance  *allowance
	limit      int64
	need, most int64 // what the call lacks, and how much it may be where others have their share
	live       int64
	known      bool // the database has the cap, as far as we know
	// What the database said.
	amount, others, away, heldAway int64
}

// divide decides how much is leased of home, which is used and leased by
// nobody: as round.divide does of credits.
func (c *capCut) divide(home int64) {
	if home = max(home, 0); home < c.need {
		return // part of it would only keep others from it
	}
	share := home / 2 / c.live
	switch {
	case c.most < 0:
		share = home
	case c.live > 1 || c.most == 0:
		share = min(share, c.most)
	}
	c.amount = min(max(c.need, share), home)
}

// capGive is the part of a round that returns of one cap. What was spent is
// folded into what is used.
type capGive struct {
	key           capKey
	amount, spent int64
}

// fits reports whether need fits into every cap at once. p.mu is held.
func (p *purse) fits(caps []Cap, need int64) bool {
	for i := range caps {
		a := p.find(caps[i].key())
		if a == nil || a.free(int64(caps[i].Limit)) < need {
			return false
		}
	}
	return true
}

func (p *purse) find(k capKey) *allowance {
	for _, a := range p.caps {
		if a.key == k {
			return a
		}
	}
	return nil
}

func (p *purse) allowance(k capKey) *allowance {
	if a := p.find(k); a != nil {
		return a
	}
	a := &allowance{key: k}
	p.caps = append(p.caps, a)
	return a
}

// takeCaps sets h's amount aside of every cap. The caller has seen that it
// fits.
func (p *purse) takeCaps(h *Hold, caps []Cap) {
	if len(caps) == 0 {
		return
	}
	h.caps = h.inlineCaps[:0]
	for i := range caps {
		a := p.allowance(caps[i].key())
		a.held += h.amount
		h.caps = append(h.caps, a)
	}
}

// moveCaps adds to what h holds and has spent of its caps. p.mu is held.
func (h *Hold) moveCaps(held, spent int64) {
	for _, a := range h.caps {
		a.held += held
		a.spent += spent
	}
}

// charged is the sum of what the parts are charged.
func (h *Hold) charged() (sum int64) {
	for i := range h.parts {
		sum += h.parts[i].charged
	}
	return sum
}

// cutCaps lists the cuts for the caps into which need does not fit, or of
// which, with need 0, little is left of the last cut.
func (p *purse) cutCaps(caps []Cap, need, most, live int64) (out []capCut) {
	for i := range caps {
		a, limit := p.allowance(caps[i].key()), int64(caps[i].Limit)
		lacks := need - a.free(limit)
		if lacks <= 0 && (need > 0 || !a.low(limit)) {
			continue
		}
		known := a.size > 0 || a.leased > 0 || a.others > 0
		out = append(out, capCut{allowance: a, limit: limit, need: max(lacks, 0), most: most, live: live, known: known})
	}
	return out
}

// low reports whether little is left of the last cut, and there is more.
func (a *allowance) low(limit int64) bool {
	return a.free(limit) < a.size/4 && limit-a.others-a.leased > a.size/4
}

// lowOn reports whether one of caps is low.
func (p *purse) lowOn(caps []Cap) bool {
	for i := range caps {
		if a := p.find(caps[i].key()); a != nil && a.low(int64(caps[i].Limit)) {
			return true
		}
	}
	return false
}

// giving lists what a return gives back of the caps; what it returns notes that
// it does, once the return is queued.
func (r *round) giving(caps []*allowance) func() {
	for _, a := range caps {
		if a.leased > 0 {
			r.capGives = append(r.capGives, capGive{a.key, a.idle(), a.spent})
		}
	}
	return func() {
		for _, a := range caps {
			if a.leased > 0 {
				a.leased -= a.idle() + a.spent
				a.others, a.spent = a.others+a.spent, 0
			}
		}
	}
}

// finishCaps applies what a cut leased, or undoes a return that failed.
func (p *purse) finishCaps(r *round) {
	switch {
	case r.cut && r.err == nil:
		for i := range r.capCuts {
			c := &r.capCuts[i]
			c.allowance.leased += c.amount
			c.allowance.others, c.allowance.away, c.allowance.heldAway = c.others, c.away, c.heldAway
			c.allowance.size = c.allowance.free(c.limit)
		}
	case !r.cut && r.err == nil:
		p.caps = slices.DeleteFunc(p.caps, func(a *allowance) bool { return a.leased == 0 && a.held == 0 && a.spent == 0 })
	case !r.cut:
		for _, g := range r.capGives {
			a := p.allowance(g.key)
			a.leased += g.amount + g.spent
			a.spent, a.others = a.spent+g.spent, a.others-g.spent
		}
	}
}

// capRoom is the most that the caps leave for one call, as far as this process
// knows; at most most.
func (p *purse) capRoom(caps []Cap, most int64) int64 {
	for i := range caps {
		limit := int64(caps[i].Limit)
		if a := p.find(caps[i].key()); a != nil {
			limit -= a.others - a.away + a.held + a.spent
		}
		most = min(most, max(limit, 0))
	}
	return most
}

// CapUsed returns what the owner of a cap has spent of it in the window, with
// what open calls hold: one reading of the database.
func (s *Service) CapUsed(ctx context.Context, owner string, window time.Time) (money.Credits, error) {
	used, err := s.store.capUsed(ctx, Cap{Owner: owner, Window: window}.key())
	return money.Credits(used), err
}

// newCapShortage is why a call does not fit into a cap that leaves room.
func newCapShortage(c *Cap, need, room, held int64, now time.Time) *Shortage {
	s := &Shortage{Need: money.Credits(need), Available: money.Credits(max(room, 0)), Held: money.Credits(held)}
	s.fault = c.Full
	if c.Full.Is(ErrDayCap) && !c.Window.IsZero() {
		s.fault = s.fault.After(max(c.Window.Add(24*time.Hour).Sub(now), time.Second))
	}
	if room+held >= need {
		s.fault = ErrReserved.Saying("This request may cost up to %s credits; the limit of %s leaves %s, and open calls hold %s of it. Wait until one has ended.",
			s.Need, c.Limit, s.Available, s.Held)
	}
	s.fault = s.fault.With("required", s.Need).With("available", s.Available).With("held", s.Held).With("limit", c.Limit)
	if !c.Window.IsZero() {
		s.fault = s.fault.With("windowStart", c.Window.UTC().Format(time.RFC3339))
	}
	return s
}

// encodeCaps returns caps as the row of an open hold keeps them.
func encodeCaps(caps []*allowance) string {
	if len(caps) == 0 {
		return ""
	}
	rows := make([][2]any, len(caps))
	for i, a := range caps {
		rows[i] = [2]any{a.key.owner, a.key.window}
	}
	b, err := json.Marshal(rows)
	if err != nil {
		return "" // texts and numbers always encode
	}
	return string(b)
}

// decodeCaps reads what encodeCaps wrote; anything else is ErrUnreadable.
func decodeCaps(text string) ([]capKey, error) {
	if text == "" {
		return nil, nil
	}
	var rows [][2]json.RawMessage
	if err := json.Unmarshal([]byte(text), &rows); err != nil || len(rows) > maxCaps {
		return nil, fmt.Errorf("%w: caps of an open hold", ErrUnreadable)
	}
	out := make([]capKey, len(rows))
	for i, r := range rows {
		if err := errors.Join(json.Unmarshal(r[0], &out[i].owner), json.Unmarshal(r[1], &out[i].window)); err != nil || out[i].owner == "" {
			return nil, fmt.Errorf("%w: caps of an open hold", ErrUnreadable)
		}
	}
	return out, nil
}

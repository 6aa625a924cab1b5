package subscription

import (
	"slices"
	"time"

	"github.com/rephlo/rephlo/internal/calendar"
	"github.com/rephlo/rephlo/internal/credit"
	"github.com/rephlo/rephlo/internal/fault"
)

// State is where a subscription is in its life.
type State string

// The states. Incomplete, Cancelled and Expired are not live.
const (
	Incomplete State = "incomplete"
	Trial      State = "trial"
	Active     State = "active"
	PastDue    State = "past_due"
	Suspended  State = "suspended"
	Cancelled  State = "cancelled"
	Expired    State = "expired"
)

// transitions says which states follow which.
var transitions = map[State][]State{
	Incomplete: {Trial, Active},
	Trial:      {Trial, Active, PastDue, Expired, Cancelled},
	Active:     {Active, PastDue, Cancelled, Expired, Suspended},
	PastDue:    {PastDue, Active, Suspended, Cancelled},
	Suspended:  {Suspended, Active, Expired, Cancelled},
}

// Mode says who pays.
type Mode string

// The modes.
const (
	ModeFree   Mode = "free"   // nobody: the free tier
	ModeManual Mode = "manual" // nobody: an administrator gave it
	ModeVendor Mode = "vendor" // the user, through Payments
)

// Subscription is what one user has, or had.
type Subscription struct {
	ID, UserID string
	Tier       string
	Cycle      Cycle
	Mode       Mode
	State      State
	// Anchor is where credit cycles are counted from, Allocated the number of
	// the last one that was given its credits; -1 is none.
	Anchor    time.Time
	Allocated int
	PlanGrant credit.GrantID // of that cycle; 0: it gave nothing
	// PeriodAnchor is where billing periods are counted from, PeriodAt how many
	// months after it the present one begins. Both are zero without billing.
	PeriodAnchor time.Time
	PeriodAt     int
	Paid         int64     // whole-period price of the present plan, in minor units
	TrialEnd     time.Time // zero: never was on trial
	EndsAt       time.Time // set by an administrator; zero: it goes on
	FailedAt     time.Time // when the open invoice was declined first; zero: none is open
	Attempts     int       // to collect it since
	PausedAt     time.Time // since when nothing is collected; zero: it is
	CancelAtEnd  bool
	NextTier     string // from the next period on; "" is no change
	NextCycle    Cycle
	DueAt        time.Time // when Due has to look at it; zero: never
	Version      int64     // counts changes
	CreatedAt    time.Time
	EndedAt      time.Time // zero: it has not ended
}

// Live reports whether s is its user's subscription now.
func (s Subscription) Live() bool {
	return slices.Contains([]State{Trial, Active, PastDue, Suspended}, s.State)
}

// Billed reports whether s has billing periods.
func (s Subscription) Billed() bool { return !s.PeriodAnchor.IsZero() }

// Period is the present billing period, or zero.
func (s Subscription) Period() calendar.Period {
	if !s.Billed() {
		return calendar.Period{}
	}
	return calendar.Period{
		Start: calendar.Add(s.PeriodAnchor, s.PeriodAt),
		End:   calendar.Add(s.PeriodAnchor, s.PeriodAt+s.Cycle.Months()),
	}
}

// CreditCycle is the cycle whose credits were given last, or the first one.
func (s Subscription) CreditCycle() calendar.Period {
	return calendar.Nth(s.Anchor, max(s.Allocated, 0), 1)
}

// step is what has to happen to a subscription next.
type step int

const (
	stepNone step = iota
	stepRemove
	stepEnd
	stepTrialEnd
	stepRenew
	stepAllocate
	stepAttempt
)

const incompleteLife = 24 * time.Hour

// attemptDays are the days after the first failure on which an open invoice is
// tried again. The second failure suspends, the last one ends.
var attemptDays = []int{3, 7, 14}

// next says what happens to s next, and when. When several things are due at
// once, what ends comes before what renews and that before what gives.
func (s Subscription) next() (step, time.Time) {
	if s.State == Incomplete {
		return stepRemove, s.CreatedAt.Add(incompleteLife)
	}
	if !s.Live() {
		return stepNone, time.Time{}
	}
	what, when := stepNone, time.Time{}
	at := func(st step, t time.Time) {
		if !t.IsZero() && (what == stepNone || t.Before(when)) {
			what, when = st, t
		}
	}
	at(stepEnd, s.EndsAt)
	paused := !s.PausedAt.IsZero() && !s.CancelAtEnd
	switch s.State {
	case Trial:
		if !paused || s.Mode == ModeManual {
			at(stepTrialEnd, s.TrialEnd)
		}
	case Active:
		given := calendar.Add(s.Anchor, s.Allocated+1)
		if s.Billed() && !paused {
			at(stepRenew, s.Period().End)
		}
		if !s.Billed() || !paused || given.Before(s.Period().End) { // not for a period that nobody paid
			at(stepAllocate, given)
		}
	case PastDue, Suspended:
		if s.Attempts < len(attemptDays) && !paused {
			at(stepAttempt, s.FailedAt.AddDate(0, 0, attemptDays[s.Attempts]))
		}
	}
	return what, when
}

// Faults of subscriptions.
var (
	ErrUnknown  = fault.New(fault.NotFound, "not_found", "There is no such subscription.")
	ErrState    = fault.New(fault.Conflict, "invalid_state", "The subscription is in a state that does not allow this. Look at it again.")
	ErrHasOne   = fault.New(fault.Conflict, "already_subscribed", "There is a paid subscription already. Change its plan instead.")
	ErrPlan     = fault.New(fault.Unprocessable, "validation_error", "There is no such plan to buy.").At("tier")
	ErrPreview  = fault.New(fault.Unprocessable, "preview_expired", "The preview is older than ten minutes, or the subscription has changed since. Ask for a new one.")
	ErrDeclined = fault.New(fault.PaymentRequired, "payment_error", "The payment was declined, so nothing has changed. Use another payment method.")
	ErrPayments = fault.New(fault.Unavailable, "payments_unavailable", "This installation takes no payments. Ask its operator for a subscription.")
)

// moved returns s in another state, or ErrState.
func (s Subscription) moved(to State) (Subscription, error) {
	if !slices.Contains(transitions[s.State], to) {
		return s, ErrState.Saying("A subscription that is %s cannot become %s.", s.State, to)
	}
	s.State = to
	return s, nil
}

// Event is a change in the life of a subscription.
type Event struct {
	ID, SubscriptionID, UserID string
	From, To                   State // From is "" at the start
	Cause                      string
	Actor                      string // "" is the system
	Reason                     string // what a person gave
	At                         time.Time
}

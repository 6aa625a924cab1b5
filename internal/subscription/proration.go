package subscription

import (
	"math/big"
	"time"

	"github.com/rephlo/rephlo/internal/calendar"
	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/tier"
)

// Cycle is how often a subscription is paid.
type Cycle string

// The cycles.
const (
	Monthly Cycle = "monthly"
	Annual  Cycle = "annual"
)

// Months is how long a billing period is.
func (c Cycle) Months() int {
	if c == Annual {
		return 12
	}
	return 1
}

// Plan is what somebody is subscribed to.
type Plan struct {
	Tier  *tier.Tier
	Cycle Cycle
}

// When says when a change of plan takes effect.
type When string

// The times.
const (
	Now       When = "now"
	PeriodEnd When = "period_end"
)

// ErrNoChange says that the plan is the present one.
var ErrNoChange = fault.New(fault.Conflict, "invalid_state", "This is the plan that you have.")

// WhenOf decides when a change takes effect, and whether a new billing period
// starts with it. Lower ranks and annual to monthly of the same tier wait for
// the end of the period that was paid; everything else happens now.
func WhenOf(from, to Plan) (when When, renewed bool, err error) {
	switch rank := to.Tier.Rank - from.Tier.Rank; {
	case rank == 0 && to.Cycle == from.Cycle:
		return "", false, ErrNoChange
	case rank < 0, rank == 0 && to.Cycle == Monthly:
		return PeriodEnd, false, nil
	default:
		return Now, to.Cycle != from.Cycle, nil
	}
}

// Proration is what a change of plan in the middle of a period costs and gives.
// Money is in minor units.
type Proration struct {
	Left, Total int64 // seconds of the billing period: R and P
	Paid, Price int64 // for a whole period: of the present plan, of the new one
	Credit      int64 // what is left of what was paid
	Charge      int64 // for the rest of the period, or for a new one
	Net         int64 // above 0: invoiced now; below: goes to the billing balance
	CreditLeft  int64 // seconds of the credit cycle: Rc
	CreditTotal int64 // and Pc
	// Extra goes to the plan grant of the running credit cycle.
	Extra   money.Credits
	Renewed bool // a new billing period starts
}

// Change is the input of Prorate.
type Change struct {
	At      time.Time
	Billing calendar.Period // the present billing period
	Credits calendar.Period // the running credit cycle
	Paid    int64           // whole-period price of the present plan after discounts
	Price   int64           // of the new plan
	From    money.Credits   // creditsPerMonth of the present plan
	To      money.Credits   // of the new one
	Renewed bool
}

// Prorate computes an immediate change. Each line is rounded once: money half
// up to minor units, credits up to whole credits.
func Prorate(c Change) Proration {
	p := Proration{
		Left: c.Billing.Left(c.At), Total: c.Billing.Seconds(), Paid: c.Paid, Price: c.Price,
		CreditLeft: c.Credits.Left(c.At), CreditTotal: c.Credits.Seconds(), Renewed: c.Renewed,
	}
	p.Credit = halfUp(c.Paid, p.Left, p.Total)
	p.Charge = c.Price
	if !c.Renewed {
		p.Charge = halfUp(c.Price, p.Left, p.Total)
	}
	p.Net = p.Charge - p.Credit
	if more := c.To - c.From; more > 0 {
		p.Extra = up(more, p.CreditLeft, p.CreditTotal)
	}
	return p
}

// halfUp returns amount x part / whole, rounded half up; 0 for an empty whole.
// amount and part are not negative and part is at most whole, so that the
// result fits.
func halfUp(amount, part, whole int64) int64 {
	if whole == 0 {
		return 0
	}
	n := new(big.Int).Mul(big.NewInt(amount), big.NewInt(part))
	n.Lsh(n, 1).Add(n, big.NewInt(whole))
	return n.Quo(n, new(big.Int).Lsh(big.NewInt(whole), 1)).Int64()
}

// up returns credits x part / whole, rounded up to a whole credit.
func up(credits money.Credits, part, whole int64) money.Credits {
	if whole == 0 {
		return 0
	}
	n := new(big.Int).Mul(big.NewInt(int64(credits)), big.NewInt(part))
	d := new(big.Int).Mul(big.NewInt(whole), big.NewInt(int64(money.Credit)))
	n.Add(n, d).Sub(n, big.NewInt(1))
	return money.Credits(n.Quo(n, d).Int64()) * money.Credit
}

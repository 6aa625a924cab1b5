package subscription_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/rephlo/rephlo/internal/calendar"
	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/subscription"
	"github.com/rephlo/rephlo/internal/tier"
)

func at(text string) time.Time {
	t, err := time.Parse("2006-01-02 15:04", text)
	if err != nil {
		panic(err)
	}
	return t
}

func plan(name string, c subscription.Cycle) subscription.Plan {
	return subscription.Plan{Tier: tier.Seeds().Tier(name), Cycle: c}
}

const (
	monthly = subscription.Monthly
	annual  = subscription.Annual
)

// prorate computes a change of a subscription that started at start, with
// whole-period prices that may be discounted.
func prorate(t *testing.T, from, to subscription.Plan, start, now time.Time, paid, price int64) (subscription.When, subscription.Proration) {
	t.Helper()
	when, renewed, err := subscription.WhenOf(from, to)
	if err != nil {
		t.Fatal(err)
	}
	cycle := calendar.Index(start, now, 1)
	return when, subscription.Prorate(subscription.Change{
		At: now, Billing: calendar.Nth(start, calendar.Index(start, now, from.Cycle.Months()), from.Cycle.Months()),
		Credits: calendar.Nth(start, cycle, 1), Paid: paid, Price: price,
		From: from.Tier.CreditsPerMonth, To: to.Tier.CreditsPerMonth, Renewed: renewed,
	})
}

// The table of section 8.3 of the specification.
func TestProrationGivesTheNumbersOfTheSpecification(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name               string
		from, to           subscription.Plan
		start, now         string
		paid, price        int64
		left, total        int64
		credit, charge     int64
		net, extra         int64
		newBillingPeriodTo string
	}{
		{"1", plan("pro", monthly), plan("pro_plus", monthly), "2026-04-01 00:00", "2026-04-16 00:00", 1500, 4500, 1_296_000, 2_592_000, 750, 2250, 1500, 1750, ""},
		{"2", plan("pro", monthly), plan("pro_max", monthly), "2026-03-01 00:00", "2026-03-11 00:00", 1500, 19900, 1_814_400, 2_678_400, 1016, 13481, 12465, 15920, ""},
		{"3", plan("pro", monthly), plan("pro_plus", monthly), "2026-02-01 00:00", "2026-02-10 15:30", 1500, 4500, 1_585_800, 2_419_200, 983, 2950, 1967, 2295, ""},
		{"4", plan("pro", monthly), plan("pro", annual), "2026-04-01 00:00", "2026-04-16 00:00", 1500, 15000, 1_296_000, 2_592_000, 750, 15000, 14250, 0, "2027-04-16 00:00"},
		{"5", plan("pro", annual), plan("pro_max", annual), "2026-01-01 00:00", "2026-07-01 00:00", 15000, 199000, 15_897_600, 31_536_000, 7562, 100318, 92756, 23500, ""},
		{"6", plan("pro", annual), plan("pro_plus", monthly), "2026-01-01 00:00", "2026-07-01 00:00", 15000, 4500, 15_897_600, 31_536_000, 7562, 4500, -3062, 3500, "2026-08-01 00:00"},
		{"7", plan("pro", monthly), plan("pro_plus", monthly), "2026-04-01 00:00", "2026-04-16 00:00", 750, 4500, 1_296_000, 2_592_000, 375, 2250, 1875, 1750, ""},
		{"8", plan("pro", monthly), plan("pro_plus", monthly), "2026-04-01 00:00", "2026-04-16 00:00", 750, 2250, 1_296_000, 2_592_000, 375, 1125, 750, 1750, ""},
		{"pro to pro_max with half left", plan("pro", monthly), plan("pro_max", monthly), "2026-04-01 00:00", "2026-04-16 00:00", 1500, 19900, 1_296_000, 2_592_000, 750, 9950, 9200, 11750, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			when, p := prorate(t, tt.from, tt.to, at(tt.start), at(tt.now), tt.paid, tt.price)
			got := []int64{p.Left, p.Total, p.Credit, p.Charge, p.Net, int64(p.Extra / money.Credit)}
			want := []int64{tt.left, tt.total, tt.credit, tt.charge, tt.net, tt.extra}
			for i := range want {
				if got[i] != want[i] {
					t.Fatalf("R, P, credit, charge, net, extra = %v, want %v", got, want)
				}
			}
			if when != subscription.Now || p.Renewed != (tt.newBillingPeriodTo != "") {
				t.Errorf("%s, new period %v", when, p.Renewed)
			}
			if p.Renewed && !calendar.Nth(at(tt.now), 0, tt.to.Cycle.Months()).End.Equal(at(tt.newBillingPeriodTo)) {
				t.Errorf("the new period does not end on %s", tt.newBillingPeriodTo)
			}
		})
	}
}

func TestWhenAChangeTakesEffect(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		from, to subscription.Plan
		when     subscription.When
		renewed  bool
	}{
		{plan("pro", monthly), plan("pro_plus", monthly), subscription.Now, false},
		{plan("pro", monthly), plan("pro_plus", annual), subscription.Now, true},
		{plan("pro", annual), plan("pro_plus", monthly), subscription.Now, true},
		{plan("pro", monthly), plan("pro", annual), subscription.Now, true},
		{plan("pro", annual), plan("pro", monthly), subscription.PeriodEnd, false},
		{plan("pro_plus", monthly), plan("pro", monthly), subscription.PeriodEnd, false},
		{plan("pro_plus", monthly), plan("pro", annual), subscription.PeriodEnd, false},
	} {
		when, renewed, err := subscription.WhenOf(tt.from, tt.to)
		if err != nil || when != tt.when || renewed != tt.renewed {
			t.Errorf("%s %s to %s %s: %s %v %v, want %s %v", tt.from.Tier.Name, tt.from.Cycle, tt.to.Tier.Name, tt.to.Cycle, when, renewed, err, tt.when, tt.renewed)
		}
	}
	if _, _, err := subscription.WhenOf(plan("pro", monthly), plan("pro", monthly)); err == nil {
		t.Error("the present plan is a change")
	}
}

var paidTiers = []string{"pro", "pro_plus", "pro_max", "enterprise_pro", "enterprise_pro_plus"}

// An upgrade in two steps at one instant costs to the cent what it costs in
// one, and neither way is the money for the rest of a period more than its
// whole price. Credits round up once a step, so two steps give at most one
// whole credit more.
func TestAnUpgradeInStepsCostsTheSame(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		start := time.Unix(rapid.Int64Range(1_700_000_000, 1_900_000_000).Draw(rt, "start"), 0).UTC()
		now := start.Add(time.Duration(rapid.Int64Range(0, 700*86_400).Draw(rt, "later")) * time.Second)
		prices := rapid.SliceOfN(rapid.Int64Range(0, 1_000_000_000), 3, 3).Draw(rt, "prices")
		credits := rapid.SliceOfN(rapid.Int64Range(0, 1_000_000), 3, 3).Draw(rt, "credits")
		for i := 1; i < 3; i++ {
			credits[i] += credits[i-1]
		}
		step := func(from, to int) subscription.Proration {
			return subscription.Prorate(subscription.Change{
				At: now, Billing: calendar.Nth(start, calendar.Index(start, now, 12), 12), Credits: calendar.Nth(start, calendar.Index(start, now, 1), 1),
				Paid: prices[from], Price: prices[to],
				From: money.Credits(credits[from]) * money.Credit, To: money.Credits(credits[to]) * money.Credit,
			})
		}
		one, two, whole := step(0, 1), step(1, 2), step(0, 2)
		if one.Net+two.Net != whole.Net {
			rt.Fatalf("in steps %d + %d, at once %d", one.Net, two.Net, whole.Net)
		}
		if more := one.Extra + two.Extra - whole.Extra; more < 0 || more > money.Credit {
			rt.Fatalf("in steps %s more credits", more)
		}
		if whole.Credit > prices[0] || whole.Charge > prices[2] || whole.Extra > money.Credits(credits[2]-credits[0])*money.Credit {
			rt.Fatalf("more than the whole: %+v", whole)
		}
	})
}

// Over every second of the day and each paid pair: no downgrade gives credits.
func TestADowngradeNeverGivesCredits(t *testing.T) {
	t.Parallel()
	start := at("2026-01-31 00:00")
	for _, from := range paidTiers {
		for _, to := range paidTiers {
			for _, cycle := range []subscription.Cycle{monthly, annual} {
				a, b := plan(from, cycle), plan(to, cycle)
				when, renewed, err := subscription.WhenOf(a, b)
				if from == to {
					continue
				}
				if err != nil {
					t.Fatal(err)
				}
				for day := range 40 {
					now := start.AddDate(0, 0, day)
					p := subscription.Prorate(subscription.Change{
						At: now, Billing: calendar.Nth(start, 0, cycle.Months()), Credits: calendar.Nth(start, calendar.Index(start, now, 1), 1),
						From: a.Tier.CreditsPerMonth, To: b.Tier.CreditsPerMonth, Renewed: renewed,
					})
					if b.Tier.CreditsPerMonth <= a.Tier.CreditsPerMonth && p.Extra != 0 {
						t.Errorf("%s to %s on day %d gives %s", from, to, day, p.Extra)
					}
				}
				if a.Tier.Rank > b.Tier.Rank && when != subscription.PeriodEnd {
					t.Errorf("%s to %s happens %s", from, to, when)
				}
			}
		}
	}
}

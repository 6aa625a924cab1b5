package tier

import (
	"errors"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/money"
)

func day(n int) time.Time { return time.Date(2026, 1, n, 0, 0, 0, 0, time.UTC) }

// Versions hold from their moment on, in its order, whatever their numbers.
func TestATierIsWhatItsVersionsMakeOfIt(t *testing.T) {
	t.Parallel()
	pro := Tier{Name: "pro", MonthlyPrice: 1500, CreditsPerMonth: 1500 * money.Credit, HistoryDays: 90}
	versions := []Version{
		{Tier: "pro", Number: 1, ValidFrom: day(20), Patch: Patch{CreditsPerMonth: new(int64(3000))}}, // planned first, valid last
		{Tier: "pro", Number: 2, ValidFrom: day(10), Patch: Patch{CreditsPerMonth: new(int64(2000)), Pricing: Pricing{MonthlyPrice: new(int64(1800))}}},
		{Tier: "pro_plus", Number: 1, ValidFrom: day(1), Patch: Patch{Active: new(true)}},
		{Tier: "pro", Number: 3, ValidFrom: day(10), Patch: Patch{Features: Features{HistoryDays: new(120)}}},
	}
	table := NewTable()
	for _, tt := range []struct {
		now     time.Time
		credits money.Credits
		price   int64
		history int
	}{
		{day(9), 1500, 1500, 90}, {day(10), 2000, 1800, 120}, {day(19), 2000, 1800, 120}, {day(20), 3000, 1800, 120},
	} {
		table.Set([]Tier{pro}, versions, tt.now)
		got := table.Tier("pro")
		if got.CreditsPerMonth != tt.credits*money.Credit || got.MonthlyPrice != tt.price || got.HistoryDays != tt.history || got.Active {
			t.Errorf("on %s: %+v, want %d credits for %d and %d days", tt.now, *got, tt.credits, tt.price, tt.history)
		}
	}
}

// Section 3: a higher price holds from the first renewal 30 days after its
// notice, a lower one at once; fewer credits from the next paid period.
func TestWhoHasATierKeepsItsTermsForAWhile(t *testing.T) {
	t.Parallel()
	pro := Tier{Name: "pro", MonthlyPrice: 1500, AnnualPrice: 15_000, CreditsPerMonth: 1500 * money.Credit}
	table := NewTable()
	table.Set([]Tier{pro}, []Version{
		{Tier: "pro", Number: 1, ValidFrom: day(10), Patch: Patch{Pricing: Pricing{MonthlyPrice: new(int64(2000))}, CreditsPerMonth: new(int64(1000))}},
		{Tier: "pro", Number: 2, ValidFrom: day(20), Patch: Patch{Pricing: Pricing{AnnualPrice: new(int64(12_000))}}},
	}, day(40))
	const notice = 30 * 24 * time.Hour
	for _, tt := range []struct {
		months int
		begins time.Time
		want   int64
	}{
		{1, day(9), 1500},
		{1, day(10), 1500},
		{1, day(39), 1500},
		{1, day(40), 2000},
		{1, day(90), 2000},
		{12, day(19), 15_000},
		{12, day(20), 12_000},
	} {
		if got, ok := table.RenewalPrice("pro", tt.months, tt.begins, notice); !ok || got != tt.want {
			t.Errorf("%d months from %s cost %d, want %d", tt.months, tt.begins, got, tt.want)
		}
	}
	for paid, want := range map[time.Time]money.Credits{day(9): 1500, day(10): 1000, {}: 1000} {
		if got, ok := table.Allocation("pro", paid); !ok || got != want*money.Credit {
			t.Errorf("a cycle of a period paid on %s gets %s, want %d", paid, got, want)
		}
	}
	if _, ok := table.Allocation("gold", day(1)); ok {
		t.Error("there is no tier gold")
	}
}

// price − credits x value ÷ multiplier: 1,500 credits of 1 cent at 1.3 cost the
// vendor's 11.54 dollars.
func TestMarginAtFullUse(t *testing.T) {
	t.Parallel()
	pro := Tier{Name: "pro", MonthlyPrice: 1500, AnnualPrice: 15_000, CreditsPerMonth: 1500 * money.Credit}
	terms := money.Terms{Multiplier: 13_000, CreditValue: 10_000, Increment: 1}
	for months, want := range map[int]int64{1: 1500 - 1154, 12: 15_000 - 13_847} {
		if got, err := pro.Margin(months, terms); err != nil || got != want {
			t.Errorf("%d months leave %d, %v; want %d", months, got, err, want)
		}
	}
	if _, err := pro.Margin(1, money.Terms{}); err == nil {
		t.Error("terms of nothing give a margin")
	}
	if _, err := pro.Margin(12, money.Terms{Multiplier: 1, CreditValue: 1 << 60}); !errors.Is(err, money.ErrRange) {
		t.Errorf("%v, want a refusal", err)
	}
}

func TestChangesThatCannotBeAreRefused(t *testing.T) {
	t.Parallel()
	pro := &Tier{Name: "pro", MonthlyPrice: 1500, CreditsPerMonth: 1500 * money.Credit, RolloverCap: money.Credit, RolloverMonths: 1}
	for name, tt := range map[string]struct {
		tier      *Tier
		patch     Patch
		confirmed bool
		want      error
	}{
		"credits by half":             {pro, Patch{CreditsPerMonth: new(int64(2200))}, false, nil},
		"more than by half":           {pro, Patch{CreditsPerMonth: new(int64(2300))}, false, ErrConfirm},
		"fewer than half":             {pro, Patch{CreditsPerMonth: new(int64(700))}, false, ErrConfirm},
		"confirmed":                   {pro, Patch{CreditsPerMonth: new(int64(5000))}, true, nil},
		"not in steps of 100":         {pro, Patch{CreditsPerMonth: new(int64(1550))}, true, ErrWrong},
		"a price by more than half":   {pro, Patch{Pricing: Pricing{MonthlyPrice: new(int64(2300))}}, false, ErrConfirm},
		"rollover without months":     {pro, Patch{Features: Features{RolloverMonths: new(0)}}, true, ErrWrong},
		"a trial without credits":     {pro, Patch{Features: Features{TrialDays: new(7)}}, true, ErrWrong},
		"a free tier that costs":      {&Tier{Name: Free}, Patch{Pricing: Pricing{MonthlyPrice: new(int64(1))}}, true, ErrWrong},
		"the first credits of a tier": {&Tier{Name: "x"}, Patch{CreditsPerMonth: new(int64(1000))}, false, nil},
	} {
		if err := tt.patch.check(tt.tier, tt.confirmed); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
	}
}

package credit

import (
	"context"
	"errors"
	"time"

	"github.com/rephlo/rephlo/internal/money"
)

// Allowance bounds what one administrator gives away without an approval: with
// one grant, in a UTC day, and in a UTC month.
type Allowance struct{ Grant, Day, Month money.Credits }

// errBeyond says that a grant needs an approval.
var errBeyond = errors.New("more than an administrator gives away alone")

// dayOf numbers the UTC days.
func dayOf(t time.Time) int64 { return t.Unix() / (24 * 60 * 60) }

// month returns the first days of the UTC month of t and of the one after it.
func month(t time.Time) (first, next int64) {
	year, m, _ := t.UTC().Date()
	return dayOf(time.Date(year, m, 1, 0, 0, 0, 0, time.UTC)), dayOf(time.Date(year, m+1, 1, 0, 0, 0, 0, time.UTC))
}

// spend takes amount from what an administrator has left, in the transaction
// that gives it: errBeyond when that is not enough. It holds the cold lane, so
// that two grants at once do not both find room.
func (s *Service) spend(ctx context.Context, actor string, a Allowance, amount money.Credits) error {
	if amount > a.Grant {
		return errBeyond
	}
	if err := s.store.lockCold(ctx); err != nil {
		return err
	}
	left, err := s.Allowed(ctx, actor, a)
	if err != nil {
		return err
	}
	if amount > left.Grant {
		return errBeyond
	}
	return s.store.addGiven(ctx, actor, dayOf(s.now()), int64(amount))
}

// Allowed returns what is left of an administrator's allowance now. Grant is
// the most that one grant may give.
func (s *Service) Allowed(ctx context.Context, actor string, a Allowance) (Allowance, error) {
	first, next := month(s.now())
	today, all, err := s.store.given(ctx, actor, dayOf(s.now()), first, next)
	left := Allowance{Day: max(a.Day-money.Credits(today), 0), Month: max(a.Month-money.Credits(all), 0)}
	left.Grant = min(a.Grant, left.Day, left.Month)
	return left, err
}

package subscription

import (
	"context"
	"time"

	"github.com/rephlo/rephlo/internal/credit"
)

// longestTrial is how far in the future the end of a trial can be set.
const longestTrial = 90 * 24 * time.Hour

// Extend moves the end of a subscription that an administrator gave by days.
// ErrState: it has no end, or somebody pays for it.
func (s *Service) Extend(ctx context.Context, id string, days int, why Why) (Subscription, error) {
	why.Cause = "extended"
	return s.change(ctx, id, why, func(_ context.Context, v *Subscription) error {
		switch {
		case !v.Live():
			return ErrState
		case v.Mode != ModeManual || v.EndsAt.IsZero():
			return ErrState.Saying("Only a subscription that an administrator gave until a day can be extended.")
		}
		v.EndsAt = v.EndsAt.AddDate(0, 0, days)
		return nil
	})
}

// MoveTrial moves the end of a running trial, and of its credits with it. The end
// is in the future, 90 days at most.
func (s *Service) MoveTrial(ctx context.Context, id string, end time.Time, why Why) (Subscription, error) {
	end = end.UTC().Truncate(time.Second)
	if now := s.now(); !end.After(now) || end.Sub(now) > longestTrial {
		return Subscription{}, ErrPlan.Saying("The trial must end in the next 90 days.").At("endsAt")
	}
	why.Cause = "trial_moved"
	return s.change(ctx, id, why, func(ctx context.Context, v *Subscription) error {
		if v.State != Trial {
			return ErrState.Saying("Only a running trial has an end to move.")
		}
		v.TrialEnd, v.Anchor = end, end // the first plan credits come with the first payment
		return s.moveTrialCredits(ctx, v.UserID, end)
	})
}

// moveTrialCredits moves the end of the trial credits that somebody has.
func (s *Service) moveTrialCredits(ctx context.Context, user string, end time.Time) error {
	const most = 10 // a trial is for once
	grants, err := s.Credits.Grants(ctx, user, credit.Trial, true, 0, most)
	if err != nil {
		return err
	}
	for _, g := range grants {
		if err := s.Credits.SetExpiry(ctx, g.ID, end); err != nil {
			return err
		}
	}
	return nil
}

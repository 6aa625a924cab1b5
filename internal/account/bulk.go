package account

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/audit"
	"github.com/rephlo/rephlo/internal/fault"
)

// maxBulk is how many people one request changes at most.
const maxBulk = 500

// bulkAction is what can be done to many people at once.
type bulkAction struct {
	permission access.Permission
	from       []string // the states out of which it leads; nil: any
	approved   bool     // somebody else has to agree
	leaving    bool     // only who can still come back
	closes     bool     // it locks people out
	do         func(s *Service, ctx context.Context, userID string, b bulk) error
}

var bulkActions = map[string]bulkAction{
	"suspend": {permission: access.SuspendUsers, from: []string{StateActive}, closes: true, do: func(s *Service, ctx context.Context, userID string, b bulk) error {
		_, err := s.Suspend(ctx, userID, b.turn())
		return err
	}},
	"unsuspend": {permission: access.UnsuspendUsers, from: []string{StateSuspended}, do: func(s *Service, ctx context.Context, userID string, b bulk) error {
		_, err := s.Unsuspend(ctx, userID, b.turn())
		return err
	}},
	"sign_out": {permission: access.SuspendUsers, do: func(s *Service, ctx context.Context, userID string, b bulk) error {
		return s.SignOut(ctx, userID, b.Reason)
	}},
	"ban": {permission: access.BanUsers, from: []string{StateActive, StateSuspended}, closes: true, approved: true, do: func(s *Service, ctx context.Context, userID string, b bulk) error {
		_, err := s.Ban(ctx, userID, b.turn())
		return err
	}},
	"unban": {permission: access.BanUsers, from: []string{StateBanned}, do: func(s *Service, ctx context.Context, userID string, b bulk) error {
		_, err := s.Unban(ctx, userID, b.turn())
		return err
	}},
	"delete": {permission: access.DeleteUsers, from: []string{StateActive}, closes: true, approved: true, do: func(s *Service, ctx context.Context, userID string, b bulk) error {
		_, err := s.Leave(ctx, userID, b.by, b.Reason, b.grace)
		return err
	}},
	"restore": {permission: access.DeleteUsers, from: []string{StateDeleted}, leaving: true, do: func(s *Service, ctx context.Context, userID string, b bulk) error {
		_, err := s.Restore(ctx, userID, b.turn())
		return err
	}},
}

// bulk is something done to many people. What is exported waits for an approval.
type bulk struct {
	Action string     `json:"action"`
	IDs    []string   `json:"userIds"`
	Until  *time.Time `json:"until,omitempty"`
	Notify bool       `json:"notify"`
	Reason string     `json:"-"`

	by    access.Actor
	grace time.Duration
}

func (b bulk) turn() Turn {
	t := Turn{By: b.by, Reason: b.Reason, Notify: b.Notify}
	if b.Until != nil {
		t.Until = *b.Until
	}
	return t
}

// skipped is somebody to whom nothing was done, and the code of why.
type skipped struct {
	UserID string `json:"userId"`
	Code   string `json:"code"`
}

// fits returns why b could not be done to u now.
func (s *Service) fits(ctx context.Context, u User, b bulk) error {
	a := bulkActions[b.Action]
	switch {
	case a.from != nil && u.ID == b.by.UserID:
		return ErrOwn
	case a.from != nil && !slices.Contains(a.from, u.State), a.leaving && !u.Leaving(s.Now()):
		return ErrState.With("status", u.State)
	case a.closes:
		return s.Closing(ctx, u.ID)
	}
	return nil
}

// sort parts the people of b into those to whom it can be done now and the
// others.
func (s *Service) sort(ctx context.Context, b bulk) (fit []string, rest []skipped, err error) {
	rest = []skipped{}
	for _, userID := range b.IDs {
		u, err := s.ByID(ctx, userID)
		if err == nil {
			err = s.fits(ctx, u, b)
		}
		code, ours := refusal(err)
		switch {
		case err == nil:
			fit = append(fit, userID)
		case ours:
			rest = append(rest, skipped{userID, code})
		default:
			return nil, nil, err
		}
	}
	return fit, rest, nil
}

// refusal returns the code of a fault that concerns one person only.
func refusal(err error) (string, bool) {
	var f *fault.Error
	if !errors.As(err, &f) || f.Kind == fault.Unavailable {
		return "", false
	}
	return f.Code, true
}

// doAll does b to all its people, one after the other: who is not in the state
// for it any more is skipped. together: ctx carries a transaction, so that what
// is refused later undoes everything. Else each change is one of its own, and
// stays when a later one goes wrong.
func (s *Service) doAll(ctx context.Context, b bulk, together bool) (done int, rest []skipped, err error) {
	fit, rest, err := s.sort(ctx, b)
	if err != nil {
		return 0, nil, err
	}
	for _, userID := range fit {
		err := bulkActions[b.Action].do(s, ctx, userID, b)
		if code, ours := refusal(err); ours && !together {
			rest = append(rest, skipped{userID, code})
			continue
		}
		if err != nil {
			return done, rest, err
		}
		done++
	}
	return done, rest, s.Audit.Write(ctx, audit.Change{
		Action: "users.bulk", Type: "user", Reason: b.Reason, After: map[string]any{"action": b.Action, "affected": done, "skipped": len(rest)},
	})
}

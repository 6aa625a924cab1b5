package account

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/audit"
	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/id"
	"github.com/rephlo/rephlo/internal/mail"
)

// Faults of changing somebody's state.
var (
	ErrState   = fault.New(fault.Conflict, "invalid_state", "The account is not in a state in which this is possible.")
	ErrOwn     = fault.New(fault.Forbidden, "forbidden", "Nobody does this to their own account. Ask another administrator.")
	ErrTooLong = fault.New(fault.Forbidden, "forbidden", "Your role allows to suspend for at most 30 days. Give an end, or ask an admin.").At("until")
)

// shortSuspension is the longest that a role with bounds may suspend.
const shortSuspension = 30 * 24 * time.Hour

// Turn is a change of somebody's state by an administrator, or by time.
type Turn struct {
	By     access.Actor // the system when empty
	Reason string       // 10 to 500 characters
	Until  time.Time    // of a suspension; zero: until somebody ends it
	Notify bool         // tell the person by mail
	From   string       // the state before, for the Turned hook

	own bool // they do it to themselves
}

// Who names who makes the change.
func (t Turn) Who() string {
	if t.By.UserID == "" {
		return audit.System
	}
	return t.By.UserID
}

// StateChange is a line of somebody's history.
type StateChange struct {
	ID, UserID, From, To string
	Reason, By           string
	At, Until            time.Time
	LiftedAt             time.Time // when a suspension or ban ended
	LiftedBy             string
}

// The faults of the four: ErrUnknown; ErrState; ErrOwn; those of the Closing
// hook, last_super_admin among them.

// Suspend locks somebody out, until t.Until at the latest. All their sign-ins
// and tokens end, their API keys answer account_suspended. ErrTooLong.
func (s *Service) Suspend(ctx context.Context, userID string, t Turn) (User, error) {
	if err := s.bounds(t); err != nil {
		return User{}, err
	}
	return s.turn(ctx, userID, StateSuspended, "users.suspend", t, StateActive)
}

// bounds checks how long a suspension may be.
func (s *Service) bounds(t Turn) error {
	if !t.Until.IsZero() && !t.Until.After(s.Now()) {
		return field("until", "it must be in the future")
	}
	if t.By.Bounded(access.SuspendUsers) && (t.Until.IsZero() || t.Until.Sub(s.Now()) > shortSuspension) {
		return ErrTooLong
	}
	return nil
}

// Unsuspend ends a suspension.
func (s *Service) Unsuspend(ctx context.Context, userID string, t Turn) (User, error) {
	return s.turn(ctx, userID, StateActive, "users.unsuspend", t, StateSuspended)
}

// Ban locks somebody out for good. All their sign-ins and tokens end, their API
// keys answer account_banned.
func (s *Service) Ban(ctx context.Context, userID string, t Turn) (User, error) {
	t.Until = time.Time{}
	return s.turn(ctx, userID, StateBanned, "users.ban", t, StateActive, StateSuspended)
}

// canClose returns why the person that ctx carries could not bring somebody out of
// one of these states now.
func (s *Service) canClose(ctx context.Context, userID string, from ...string) error {
	by, err := access.From(ctx)
	if err != nil {
		return err
	}
	if by.UserID == userID {
		return ErrOwn
	}
	u, err := s.ByID(ctx, userID)
	if err != nil {
		return err
	}
	if !slices.Contains(from, u.State) {
		return ErrState.With("status", u.State)
	}
	return s.Closing(ctx, userID)
}

// Unban ends a ban.
func (s *Service) Unban(ctx context.Context, userID string, t Turn) (User, error) {
	return s.turn(ctx, userID, StateActive, "users.unban", t, StateBanned)
}

// turn brings somebody from one of the states to another.
func (s *Service) turn(ctx context.Context, userID, to, action string, t Turn, from ...string) (User, error) {
	if t.By.UserID == userID && !t.own {
		return User{}, ErrOwn
	}
	var u user
	err := s.DB.InTx(ctx, func(ctx context.Context) (err error) {
		if u, err = s.store.byID(ctx, userID); err != nil {
			return err
		}
		before := u.User
		if !slices.Contains(from, u.State) {
			return ErrState.With("status", u.State)
		}
		now := s.Now().UTC().Truncate(time.Microsecond)
		u.State, u.Reason, u.Until = to, strings.TrimSpace(t.Reason), t.Until.UTC().Truncate(time.Microsecond)
		if to == StateActive {
			u.Reason = ""
		} else {
			u.SignedOutAt = now
		}
		moved, err := s.store.setState(ctx, u.User, before.State)
		if err != nil || !moved {
			return errors.Join(err, when(!moved, ErrState))
		}
		if err := s.remember(ctx, before, u.User, t, now); err != nil {
			return err
		}
		if to != StateActive {
			if err := s.Closing(ctx, userID); err != nil {
				return err
			}
			if err := s.Changed(ctx, Change{User: u.User, Event: closing(to), SignOut: true}); err != nil {
				return fmt.Errorf("end the sign-ins of %s: %w", userID, err)
			}
		}
		t.From = before.State
		if err := s.Turned(ctx, u.User, t); err != nil {
			return fmt.Errorf("what %s holds: %w", userID, err)
		}
		c := audit.Change{Action: action, Type: "user", ID: userID, Reason: t.Reason, Actor: t.Who(), Before: shownState(before), After: shownState(u.User)}
		if err := s.Audit.Write(ctx, c); err != nil {
			return err
		}
		if t.Notify {
			s.send(ctx, stateMail(u.User))
		}
		return s.Bus.Publish(ctx, busKind, userID)
	})
	return u.User, unavailable(err)
}

// closing names what ends the sign-ins of somebody in a new state.
func closing(state string) Event {
	if state == StateDeleted {
		return Leaving
	}
	return Closed
}

// remember writes the history: the line of the state that ends is lifted.
func (s *Service) remember(ctx context.Context, before, after User, t Turn, now time.Time) error {
	by := t.Who()
	if err := s.store.liftState(ctx, after.ID, by, now); err != nil {
		return err
	}
	return s.store.addState(ctx, StateChange{
		ID: id.New("ast", now), UserID: after.ID, From: before.State, To: after.State, Reason: strings.TrimSpace(t.Reason), By: by, At: now, Until: after.Until,
	})
}

func shownState(u User) map[string]any {
	out := map[string]any{"status": u.State}
	if !u.Until.IsZero() {
		out["until"] = u.Until
	}
	return out
}

// stateMail tells somebody how their account stands.
func stateMail(u User) mail.Message {
	subject, text := "Your account is open again", "your Rephlo account is open again. Sign in as before."
	switch {
	case u.State == StateBanned:
		subject, text = "Your account was closed", "your Rephlo account was closed by the operator of this service: "+u.Reason
	case u.State == StateSuspended && !u.Until.IsZero():
		subject, text = "Your account is suspended", "your Rephlo account is suspended until "+u.Until.Format(time.RFC1123)+": "+u.Reason
	case u.State == StateSuspended:
		subject, text = "Your account is suspended", "your Rephlo account is suspended by the operator of this service: "+u.Reason
	}
	return mail.Message{To: u.Email, Subject: subject, Text: "Hello,\n\n" + text + "\n"}
}

// EndSuspensions opens the accounts whose suspension is over; they could be
// used since. Run it every minute.
func (s *Service) EndSuspensions(ctx context.Context) error {
	ids, err := s.store.overdue(ctx, s.Now())
	if err != nil {
		return unavailable(err)
	}
	var errs []error
	for _, userID := range ids {
		_, err := s.Unsuspend(ctx, userID, Turn{Reason: "the time of the suspension is over"})
		if !errors.Is(err, ErrState) { // somebody was quicker
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// History returns up to limit changes of somebody's state, the newest first.
func (s *Service) History(ctx context.Context, userID string, limit int) ([]StateChange, error) {
	out, err := s.store.states(ctx, userID, limit)
	return out, unavailable(err)
}

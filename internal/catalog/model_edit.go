package catalog

import (
	"context"
	"time"

	"github.com/rephlo/rephlo/internal/fault"
)

// CreateEntry adds a model as a draft, with access for everybody from the free
// tier on unless e says else.
func (s *Service) CreateEntry(ctx context.Context, e Entry, by By) (Entry, error) {
	e.State, e.Version, e.Configured, e.CreatedAt = StateDraft, 1, false, s.needs.Now().UTC().Truncate(time.Microsecond)
	if e.Access.Mode == "" {
		e.Access = Access{Mode: AccessMinimum, Tier: "free"}
	}
	err := s.change(ctx, by, func(ctx context.Context, w *edit) error {
		if _, err := w.have.model(e.ID); err == nil {
			return ErrTaken.At("id")
		}
		if err := e.check(w.have); err != nil {
			return err
		}
		if err := e.Access.check(s.needs.Tiers); err != nil {
			return err
		}
		return w.putEntry(ctx, kindModel, "create", nil, &e)
	})
	return e, err
}

// putEntry writes e with its routes and aliases, as an administrator's.
func (w *edit) putEntry(ctx context.Context, kind, action string, before *Entry, e *Entry) error {
	e.Configured = false
	row, routes, err := e.rows(originAdmin)
	if err != nil {
		return err
	}
	w.putModel(ctx, row)
	w.replaceAliases(ctx, e.ID, e.Aliases)
	w.replaceRoutes(ctx, e.ID, routes)
	var was any
	if before != nil {
		was = *before
	}
	return w.remembered(ctx, kind, e.ID, action, was, *e)
}

// EditEntry changes a model by f; its id, state and access stay. A configured
// model is taken over: from then on the configuration leaves it alone.
func (s *Service) EditEntry(ctx context.Context, id string, by By, f func(*Entry)) (Entry, error) {
	return s.editEntry(ctx, kindModel, id, "edit", by, func(w *edit, e *Entry) error {
		state, access, parameters, created := e.State, e.Access, e.Parameters, e.CreatedAt
		f(e)
		e.ID, e.State, e.Access, e.Parameters, e.CreatedAt = id, state, access, parameters, created
		return e.check(w.have)
	})
}

// editEntry changes a model by f and remembers what it was.
func (s *Service) editEntry(ctx context.Context, kind, id, action string, by By, f func(w *edit, e *Entry) error) (Entry, error) {
	var after Entry
	err := s.change(ctx, by, func(ctx context.Context, w *edit) error {
		row, err := w.have.model(id)
		if err != nil {
			return err
		}
		if err := by.current(row.version); err != nil {
			return err
		}
		before, err := w.have.entry(*row)
		if err != nil {
			return err
		}
		if after, err = w.have.entry(*row); err != nil { // of its own, so that f can change what it holds
			return err
		}
		if err := f(w, &after); err != nil {
			return err
		}
		after.Version++
		if kind == kindModel {
			return w.putEntry(ctx, kind, action, &before, &after)
		}
		return w.putPart(ctx, kind, action, row.origin, before, &after)
	})
	return after, err
}

// putPart writes what an administrator may say about a configured model too:
// it stays the configuration's.
func (w *edit) putPart(ctx context.Context, kind, action, origin string, before Entry, e *Entry) error {
	row, _, err := e.rows(origin)
	if err != nil {
		return err
	}
	w.putModel(ctx, row)
	if kind == kindAccess {
		return w.remembered(ctx, kind, e.ID, action, before.Access, e.Access)
	}
	return w.remembered(ctx, kind, e.ID, action, before.Parameters, e.Parameters)
}

// SetAccess says who may call a model.
func (s *Service) SetAccess(ctx context.Context, id string, a Access, by By) (Entry, error) {
	if err := a.check(s.needs.Tiers); err != nil {
		return Entry{}, err
	}
	return s.editEntry(ctx, kindAccess, id, "set", by, func(_ *edit, e *Entry) error {
		e.Access = a
		return nil
	})
}

// SetParameters replaces the constraints of a model.
func (s *Service) SetParameters(ctx context.Context, id string, c Constraints, by By) (Entry, error) {
	if err := c.check(); err != nil {
		return Entry{}, err
	}
	return s.editEntry(ctx, kindParameters, id, "set", by, func(_ *edit, e *Entry) error {
		e.Parameters = c
		return nil
	})
}

// DropParameter takes the constraint of one parameter away; one that is not
// there is fault.ErrNotFound.
func (s *Service) DropParameter(ctx context.Context, id, parameter string, by By) error {
	_, err := s.editEntry(ctx, kindParameters, id, "delete", by, func(_ *edit, e *Entry) error {
		if _, ok := e.Parameters[parameter]; !ok {
			return fault.ErrNotFound
		}
		delete(e.Parameters, parameter)
		return nil
	})
	return err
}

// Step is a change of a model's state.
type Step string

// The steps. All can be taken back.
const (
	Publish    Step = "publish"
	MarkLegacy Step = "mark-legacy"
	Unmark     Step = "unmark-legacy"
	Archive    Step = "archive"
	Unarchive  Step = "unarchive"
)

// steps are from which states a step leads where.
var steps = map[Step]struct {
	from []State
	to   State
}{
	Publish:    {[]State{StateDraft}, StateActive},
	MarkLegacy: {[]State{StateActive}, StateLegacy},
	Unmark:     {[]State{StateLegacy}, StateActive},
	Archive:    {[]State{StateDraft, StateActive, StateLegacy}, StateArchived},
	Unarchive:  {[]State{StateArchived}, StateActive},
}

// Farewell is what people are told about a model that will go.
type Farewell struct {
	Replacement string
	Notice      string
	SunsetAt    time.Time // zero: not decided
}

// Move takes a step with a model. From a state that it does not lead from it is
// ErrState.
func (s *Service) Move(ctx context.Context, id string, step Step, f Farewell, by By) (Entry, error) {
	return s.editEntry(ctx, kindModel, id, string(step), by, func(w *edit, e *Entry) error {
		rule := steps[step]
		ok := false
		for _, from := range rule.from {
			ok = ok || from == e.State
		}
		if !ok {
			return ErrState.Saying("The model is %s; %s is not possible from there.", e.State, step)
		}
		e.State = rule.to
		if step != MarkLegacy && step != Archive {
			e.Replacement, e.Notice, e.SunsetAt, e.DeprecatedAt = "", "", time.Time{}, time.Time{}
			return nil
		}
		if e.DeprecatedAt.IsZero() {
			e.DeprecatedAt = w.at
		}
		if f.Replacement != "" {
			e.Replacement = f.Replacement
		}
		if f.Notice != "" {
			e.Notice = f.Notice
		}
		if !f.SunsetAt.IsZero() {
			if !f.SunsetAt.After(w.at) {
				return wrong("sunsetAt", "it is in the future")
			}
			e.SunsetAt = f.SunsetAt.UTC()
		}
		return e.checkReplacement(w.have)
	})
}

// Sunset archives the models whose time has come.
func (s *Service) Sunset(ctx context.Context) error {
	t, err := s.rows(ctx)
	if err != nil {
		return err
	}
	for _, r := range t.models {
		if r.sunset.IsZero() || r.sunset.After(s.needs.Now()) || State(r.state) == StateArchived {
			continue
		}
		by := By{Actor: "schedule", Reason: "The time of its sunset has come.", Seen: ETag(r.version)}
		if _, err := s.Move(ctx, r.id, Archive, Farewell{}, by); err != nil {
			return err
		}
	}
	return nil
}

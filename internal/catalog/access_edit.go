package catalog

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/rephlo/rephlo/internal/fault"
)

// SetAccesses is SetAccess for several models at once, or for none when one of
// them is not there. A dry run changes nothing.
func (s *Service) SetAccesses(ctx context.Context, ids []string, access Access, dryRun bool, by By) (before, after []Entry, err error) {
	if err := access.check(s.needs.Tiers); err != nil {
		return nil, nil, err
	}
	err = s.change(ctx, by, func(ctx context.Context, w *edit) error {
		before, after = nil, nil
		for i, id := range ids {
			row, err := w.have.model(id)
			if err != nil || slices.Contains(ids[:i], id) {
				return wrong("modelIds", "there is no model %q, or it is there twice", id)
			}
			e, err := w.have.entry(*row)
			if err != nil {
				return err
			}
			before = append(before, e)
			was := e
			e.Access = access
			e.Version++
			after = append(after, e)
			if dryRun {
				continue
			}
			if err := w.putPart(ctx, kindAccess, "set", row.origin, was, &e); err != nil {
				return err
			}
		}
		return nil
	})
	return before, after, err
}

// RevertAccess gives a model the access that it had before a change. When it was
// changed again since, that is ErrState.
func (s *Service) RevertAccess(ctx context.Context, eventID string, by By) (Entry, error) {
	found, err := s.store.event(ctx, kindAccess, eventID)
	if err != nil {
		return Entry{}, unavailable(err)
	}
	if len(found) == 0 {
		return Entry{}, fault.ErrNotFound
	}
	var before, after Access
	for text, into := range map[*Access]json.RawMessage{&before: found[0].Before, &after: found[0].After} {
		if err := json.Unmarshal(into, text); err != nil {
			return Entry{}, err
		}
	}
	return s.editEntry(ctx, kindAccess, found[0].Subject, "revert", by, func(_ *edit, e *Entry) error {
		if !sameJSON(e.Access, after) {
			return ErrState.Saying("The access of %s was changed again since. Set it instead.", e.ID)
		}
		e.Access = before
		return before.check(s.needs.Tiers)
	})
}

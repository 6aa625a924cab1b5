package setting

import "context"

// History returns up to limit versions of a category, the newest first, below a
// version if it is not 0.
func (s *Service) History(ctx context.Context, category string, below int64, limit int) ([]Change, error) {
	if len(defsOf(category)) == 0 {
		return nil, ErrCategory
	}
	rows, err := s.store.history(ctx, category, below, limit)
	if err != nil {
		return nil, err
	}
	var out []Change
	for _, r := range rows {
		out = append(out, Change{Version: r.number, ChangedBy: r.by, ChangedAt: r.at, Reason: r.reason, Values: s.words(r)})
	}
	return out, nil
}

// words are the values of a version as they may be shown.
func (s *Service) words(r version) map[string]any {
	out := map[string]any{}
	for _, d := range defsOf(r.category) {
		raw, ok := r.values[d.name]
		v, hint, err := any(nil), "", error(nil)
		if ok {
			if v, hint, err = s.stored(d, raw); err != nil {
				continue // of a key that was lost
			}
		}
		switch {
		case d.kind == "secret":
			out[d.name] = shownSecret(ok, hint)
		case ok:
			out[d.name] = v
		}
	}
	return out
}

// Restore writes the values of an earlier version as the newest. What was not a
// setting then gets its default.
func (s *Service) Restore(ctx context.Context, category string, number int64, by Who) (Category, error) {
	old, onto, err := s.old(ctx, category, number)
	if err != nil {
		return Category{}, err
	}
	return s.write(ctx, category, onto, old.values, by)
}

// old returns a version that can be restored, and the newest number.
func (s *Service) old(ctx context.Context, category string, number int64) (version, int64, error) {
	list := defsOf(category)
	if len(list) == 0 {
		return version{}, 0, ErrCategory
	}
	old, err := s.store.version(ctx, category, number)
	if err != nil {
		return version{}, 0, err
	}
	if err := s.Load(ctx); err != nil {
		return version{}, 0, err
	}
	for _, d := range list { // an old value may break a rule of today
		if raw, ok := old.values[d.name]; ok {
			if _, _, err := s.stored(d, raw); err != nil {
				return version{}, 0, refuse([]Wrong{{d.name, "cannot be restored: " + err.Error()}})
			}
		}
	}
	return old, s.now.Load().rows[category].number, nil
}

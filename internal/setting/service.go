package setting

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/rephlo/rephlo/internal/audit"
	"github.com/rephlo/rephlo/internal/bus"
	"github.com/rephlo/rephlo/internal/seal"
	"github.com/rephlo/rephlo/internal/secret"
	"github.com/rephlo/rephlo/internal/sqldb"
)

// Needs is what New takes.
type Needs struct {
	DB    *sqldb.DB
	Bus   *bus.Bus
	Box   *seal.Box
	Log   *slog.Logger
	Now   func() time.Time
	Fixed []Fixed
	Audit *audit.Log // remembers changes; nil: nothing does
}

// Service knows the settings. It is safe for concurrent use.
type Service struct {
	Needs
	*bus.Follower // Load, Start and Stop
	store         store
	now           atomic.Pointer[snapshot]
}

// snapshot is what holds at one moment; it never changes.
type snapshot struct {
	values  map[*def]any
	hints   map[*def]string // of secrets that are set
	rows    map[string]version
	origins map[*def]string
}

// version is a row: the stored values of a category.
type version struct {
	category, by, reason string
	number               int64
	at                   time.Time
	values               map[string]json.RawMessage
}

const (
	busKind  = "setting.changed"
	loadTime = 3 * time.Second
)

// New returns a Service with the defaults; Load reads what was changed.
func New(n Needs) *Service {
	s := &Service{Needs: n, store: store{n.DB}}
	s.now.Store(s.snapshot(nil))
	s.Follower = n.Bus.Follow(busKind, "the settings", s.read)
	return s
}

// read is what Load does.
func (s *Service) read(ctx context.Context) error {
	rows, err := s.store.current(ctx)
	if err != nil {
		return err
	}
	s.now.Store(s.snapshot(rows))
	return nil
}

// snapshot makes the values of rows. What is stored and cannot be read, because
// a newer version of the program wrote it, is the default.
func (s *Service) snapshot(rows []version) *snapshot {
	n := &snapshot{values: map[*def]any{}, hints: map[*def]string{}, rows: map[string]version{}, origins: map[*def]string{}}
	for _, r := range rows {
		n.rows[r.category] = r
	}
	for _, d := range defs {
		n.values[d], n.origins[d] = d.standard, FromDefault
		if raw, ok := n.rows[d.category].values[d.name]; ok {
			if v, hint, err := s.stored(d, raw); err != nil {
				s.Log.WarnContext(context.Background(), "a stored setting cannot be used", "setting", d.category+"."+d.name, "err", err)
			} else {
				n.values[d], n.hints[d], n.origins[d] = v, hint, FromDatabase
			}
		}
		for _, f := range s.Fixed {
			if f.Category == d.category && f.Name == d.name {
				n.values[d], n.origins[d] = f.Value, FromEnvironment
				if v, ok := f.Value.(secret.String); ok {
					n.hints[d] = hint(v.Reveal())
				}
			}
		}
	}
	return n
}

// stored reads a value as it is stored.
func (s *Service) stored(d *def, raw json.RawMessage) (any, string, error) {
	if d.kind != "secret" {
		v, wrong := d.read(raw)
		if wrong != "" {
			return nil, "", fmt.Errorf("it %s", wrong)
		}
		return v, "", nil
	}
	var sealed sealedSecret
	if err := json.Unmarshal(raw, &sealed); err != nil {
		return nil, "", err
	}
	plain, err := s.Box.Open(sealed.Sealed, d.place())
	return secret.New(string(plain)), sealed.Hint, err
}

func (d *def) place() string { return "setting/" + d.category + "/" + d.name }

// Category returns what holds; ErrCategory when there is none of this name.
func (s *Service) Category(name string) (Category, error) {
	list := defsOf(name)
	if len(list) == 0 {
		return Category{}, ErrCategory
	}
	n := s.now.Load()
	row := n.rows[name]
	c := Category{Name: name, Version: row.number, ChangedBy: row.by, ChangedAt: row.at}
	for _, d := range list {
		v := Shown{Name: d.name, Doc: d.doc, Kind: d.kind, Value: n.values[d], Default: d.standard, Origin: n.origins[d], ReadOnly: n.origins[d] == FromEnvironment}
		if value, ok := v.Value.(secret.String); ok {
			v.Value, v.Default = shownSecret(!value.Empty(), n.hints[d]), nil
		}
		c.Settings = append(c.Settings, v)
	}
	return c, nil
}

func shownSecret(set bool, hint string) any {
	return map[string]any{"set": set, "hint": hint}
}

// Who changes settings, and why.
type Who struct{ Actor, Reason string }

// Put writes a category as a whole, on top of the version that was read: every
// setting that is not a secret is there, a secret only when it changes, null to
// clear it. ErrEdited: somebody was quicker. ErrWrong lists what is wrong.
func (s *Service) Put(ctx context.Context, category string, onto int64, values map[string]json.RawMessage, by Who) (Category, error) {
	next, err := s.checked(ctx, category, onto, values)
	if err != nil {
		return Category{}, err
	}
	return s.write(ctx, category, onto, next, by)
}

// checked returns what Put writes, or its fault.
func (s *Service) checked(ctx context.Context, category string, onto int64, values map[string]json.RawMessage) (map[string]json.RawMessage, error) {
	list := defsOf(category)
	if len(list) == 0 {
		return nil, ErrCategory
	}
	if err := s.Load(ctx); err != nil {
		return nil, err
	}
	n := s.now.Load()
	if n.rows[category].number != onto {
		return nil, ErrEdited
	}
	return s.merge(n, list, values)
}

// guards reports whether values change something of a category that a second
// person has to agree to. What is not among them gets its default.
func (s *Service) guards(category string, values map[string]json.RawMessage) bool {
	n := s.now.Load()
	return slices.ContainsFunc(defsOf(category), func(d *def) bool {
		if !d.guarded || n.origins[d] == FromEnvironment {
			return false
		}
		v := d.standard
		if raw, ok := values[d.name]; ok {
			read, wrong := d.read(raw)
			if wrong != "" {
				return false // it is refused anyway
			}
			v = read
		}
		return !reflect.DeepEqual(v, n.values[d])
	})
}

func (s *Service) write(ctx context.Context, category string, onto int64, values map[string]json.RawMessage, by Who) (Category, error) {
	row := version{category: category, number: onto + 1, by: by.Actor, reason: by.Reason, at: s.Needs.Now().UTC().Truncate(time.Microsecond), values: values}
	err := s.DB.InTx(ctx, func(ctx context.Context) error {
		first, err := s.store.add(ctx, row)
		if err != nil {
			return err
		}
		if !first {
			return ErrEdited
		}
		err = s.Audit.Write(ctx, audit.Change{
			Action: "settings.edit", Type: "settings", ID: category, Reason: by.Reason,
			Before: s.words(s.now.Load().rows[category]), After: s.words(row),
		})
		if err != nil {
			return err
		}
		return s.Bus.Publish(ctx, busKind, category)
	})
	if err != nil {
		return Category{}, err
	}
	// Not in the transaction that ctx may carry: what it wrote may never be
	// committed.
	s.DB.AfterCommit(ctx, func() {
		limit, cancel := context.WithTimeout(context.Background(), loadTime)
		defer cancel()
		err = s.Load(limit)
	})
	if err != nil {
		return Category{}, err
	}
	return s.Category(category)
}

// merge checks values and returns what is stored of them.
func (s *Service) merge(n *snapshot, list []*def, values map[string]json.RawMessage) (map[string]json.RawMessage, error) {
	var wrong []Wrong
	out, merged := map[string]json.RawMessage{}, map[string]any{}
	for name := range values {
		if !slices.ContainsFunc(list, func(d *def) bool { return d.name == name }) {
			wrong = append(wrong, Wrong{name, "is not a setting of this category"})
		}
	}
	for _, d := range list {
		before := n.rows[d.category].values[d.name]
		raw, given := values[d.name]
		v, text := n.values[d], ""
		switch {
		case n.origins[d] == FromEnvironment:
			if given && d.kind != "secret" {
				if v, text = d.read(raw); text == "" && !reflect.DeepEqual(v, n.values[d]) {
					text = "is fixed by the environment"
				}
			} else if given {
				text = "is fixed by the environment"
			}
			raw, v = before, n.values[d] // what the database has stays below
		case d.kind == "secret" && !given:
			raw = before
		case d.kind == "secret" && isNull(raw):
			raw, v = nil, secret.String{}
		case !given:
			text = "is missing; a category is written as a whole"
		default:
			if v, text = d.read(raw); text == "" {
				raw = s.packed(d, v)
			}
		}
		if text != "" {
			wrong = append(wrong, Wrong{d.name, text})
			continue
		}
		merged[d.name] = v
		if raw != nil {
			out[d.name] = raw
		}
	}
	if check := together[list[0].category]; check != nil && len(wrong) == 0 {
		if w := check(merged); w != nil {
			wrong = append(wrong, *w)
		}
	}
	return out, refuse(wrong)
}

// packed is a checked value as it is stored.
func (s *Service) packed(d *def, v any) json.RawMessage {
	if text, ok := v.(secret.String); ok {
		sealed, err := s.Box.Seal([]byte(text.Reveal()), d.place())
		if err != nil {
			return nil
		}
		v = sealedSecret{sealed, hint(text.Reveal())}
	}
	raw, err := json.Marshal(v)
	if err != nil {
		return nil
	}
	return raw
}

func refuse(wrong []Wrong) error {
	if len(wrong) == 0 {
		return nil
	}
	slices.SortFunc(wrong, func(a, b Wrong) int { return strings.Compare(a.Name, b.Name) })
	var fields []map[string]string
	for _, w := range wrong {
		fields = append(fields, map[string]string{"field": w.Name, "code": "invalid", "message": w.Text})
	}
	return ErrWrong.Saying("The setting %s %s.", wrong[0].Name, wrong[0].Text).At(wrong[0].Name).With("fields", fields)
}

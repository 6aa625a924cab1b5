package usage

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/rephlo/rephlo/internal/credit"
	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/id"
	"github.com/rephlo/rephlo/internal/list"
	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/pricing"
	"github.com/rephlo/rephlo/internal/sqldb"
)

// Needs are what a Service works with.
type Needs struct {
	DB      *sqldb.DB
	Now     func() time.Time
	Cursors list.Cursors // sign the pages of lists
	// Used is told, in the transaction that adds calls up, by how much the sum of
	// people's charges changed; nil: nobody asks.
	Used func(ctx context.Context, more map[string]money.Credits) error
}

// Service writes and reads usage records. It is safe for concurrent use.
type Service struct {
	store   store
	now     func() time.Time
	cursors list.Cursors
	used    func(ctx context.Context, more map[string]money.Credits) error
	looks   int // at how many records a page with a filter looks
}

var _ credit.Records = (*Service)(nil)

// New returns a Service.
func New(n Needs) *Service {
	return &Service{store: store{n.DB}, now: n.Now, cursors: n.Cursors, used: n.Used, looks: lookedAt}
}

// Add records a call that had no hold. A second record of the same call is an
// error. It joins the transaction in ctx.
func (s *Service) Add(ctx context.Context, e Entry) error {
	return s.store.insert(ctx, []Entry{s.complete(e)})
}

// WriteRecords implements credit.Records: it writes the records of a batch in
// the transaction that ctx carries. Each is an Entry.
func (s *Service) WriteRecords(ctx context.Context, rs []credit.Record) error {
	entries := make([]Entry, len(rs))
	for i, r := range rs {
		e, ok := r.(Entry)
		if !ok {
			return fmt.Errorf("write usage of %s: the record is a %T", r.CallID(), r)
		}
		entries[i] = s.complete(e)
	}
	return s.store.insert(ctx, entries)
}

// complete fills in what a caller may leave out.
func (s *Service) complete(e Entry) Entry {
	if e.At.IsZero() {
		e.At = s.now()
	}
	if e.Source == "" {
		e.Source = None
	}
	return e
}

// Restore implements credit.Records: it reads what Entry.Journal wrote.
func (s *Service) Restore(journal []byte) (credit.Record, error) {
	e, err := FromJournal(journal)
	if err != nil {
		return nil, err
	}
	return e, nil
}

// Recovered implements credit.Records: it makes the record of a call whose
// process died from the journal of its hold. A journal that cannot be read
// still gives a record, because the charge must have one.
func (s *Service) Recovered(_ context.Context, o credit.Orphan) (credit.Record, error) {
	e, err := FromJournal(o.Journal)
	if err != nil {
		e = Entry{ModelID: "unknown", Operation: "unknown"}
	}
	if e.At.IsZero() || err != nil {
		e.At = o.At
	}
	e.ID, e.UserID, e.Charged, e.Ending = o.Ref, o.User, o.Charged, string(o.Ending)
	if e.Status != Cancelled {
		e.Status = Failed // the answer did not reach its end
	}
	if o.Charged == 0 {
		e.Counts, e.CostPico = pricing.Counts{}, 0
	}
	return e, nil
}

// Charges implements credit.Records. The price is computed again from the
// record, so that a changed count or price shows.
func (s *Service) Charges(ctx context.Context, w credit.Which, each func(credit.Recorded) error) error {
	return s.store.charges(ctx, w, each)
}

// Filter selects records. Empty fields select all; times are half-open.
type Filter struct {
	From, Until                time.Time
	ModelID, Operation, Status string
	KeyID, ClientID            string
}

// position is the last record that a page showed.
type position struct {
	At int64  `json:"a"`
	ID string `json:"i"`
}

const (
	listName = "usage"
	allName  = "all usage"
)

// List returns up to limit records of user, newest first, and the cursor of
// the next page or nil. Records that arrive between two pages are not on the
// later one, and none is shown twice or left out. With a filter a page may be
// short, or empty, although there is a next one.
func (s *Service) List(ctx context.Context, user string, f Filter, limit int, cursor string) ([]Entry, *string, error) {
	after := position{At: math.MaxInt64}
	if cursor != "" {
		if err := s.cursors.Decode(listName, cursor, &after); err != nil {
			return nil, nil, err
		}
	}
	var floor position
	more := false
	if f.narrow() {
		var err error
		if floor, more, err = s.store.floor(ctx, user, f, after, s.looks); err != nil {
			return nil, nil, outage(err)
		}
	}
	entries, err := s.store.list(ctx, user, f, after, floor, limit+1)
	switch {
	case err != nil:
		return nil, nil, outage(err)
	case len(entries) > limit:
		entries = entries[:limit]
		floor = position{At: entries[limit-1].At.UnixMicro(), ID: entries[limit-1].ID}
	case !more:
		return entries, nil, nil
	}
	next, err := s.cursors.Encode(listName, floor)
	return entries, &next, err
}

// lookedAt is how many records a page with a filter looks at: one that finds
// few of them is short, or empty, and its cursor goes on. So no page takes
// longer because there are many records that are not wanted.
const lookedAt = 2_000

// Find returns user's record of the call with this call id, or else the newest
// with this request id. Any other is ErrNotFound.
func (s *Service) Find(ctx context.Context, user, requestID string) (Entry, error) {
	if id.Is("call", requestID) {
		e, ok, err := s.store.byID(ctx, user, requestID)
		if ok || err != nil {
			return e, outage(err)
		}
	}
	e, ok, err := s.store.byRequest(ctx, user, requestID)
	if err == nil && !ok {
		return Entry{}, ErrNotFound
	}
	return e, outage(err)
}

// RequestIDs returns the request ids of these calls, at most 256.
func (s *Service) RequestIDs(ctx context.Context, calls []string) (map[string]string, error) {
	ids, err := s.store.requestIDs(ctx, calls)
	return ids, outage(err)
}

// CallIDs returns the newest calls of the user with this request id, at most
// 255: a caller may use one id again and again.
func (s *Service) CallIDs(ctx context.Context, user, requestID string) ([]string, error) {
	ids, err := s.store.callIDs(ctx, user, requestID)
	return ids, outage(err)
}

// Calls returns the record of the call with this id, or else those with this
// request id, newest first and at most 20: of any user, for administrators.
func (s *Service) Calls(ctx context.Context, callOrRequest string) ([]Entry, error) {
	return s.store.calls(ctx, callOrRequest)
}

// All returns up to limit records of everybody between the times of f, newest
// first, and the cursor of the next page or nil.
func (s *Service) All(ctx context.Context, f Filter, limit int, cursor string) ([]Entry, *string, error) {
	before := id.First("call", f.Until.Add(idSlack))
	if cursor != "" {
		if err := s.cursors.Decode(allName, cursor, &before); err != nil {
			return nil, nil, err
		}
	}
	floor, more := id.First("call", f.From.Add(-idSlack)), false
	if f.narrow() {
		last, ok, err := s.store.allFloor(ctx, floor, before, s.looks)
		if err != nil {
			return nil, nil, outage(err)
		}
		if ok {
			floor, more = last, true
		}
	}
	entries, err := s.store.all(ctx, f, before, floor, limit+1)
	switch {
	case err != nil:
		return nil, nil, outage(err)
	case len(entries) > limit:
		entries = entries[:limit]
		floor = entries[limit-1].ID
	case !more:
		return entries, nil, nil
	}
	next, err := s.cursors.Encode(allName, floor)
	return entries, &next, err
}

// CallsOf returns the ids of what Calls returns.
func (s *Service) CallsOf(ctx context.Context, callOrRequest string) ([]string, error) {
	entries, err := s.store.calls(ctx, callOrRequest)
	ids := make([]string, len(entries))
	for i, e := range entries {
		ids[i] = e.ID
	}
	return ids, outage(err)
}

// outage turns an error of an unreachable database into the fault that says so.
func outage(err error) error {
	if sqldb.IsUnavailable(err) {
		return fault.ErrUnavailable.Because(err)
	}
	return err
}

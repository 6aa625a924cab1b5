package usage_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/rephlo/rephlo/internal/credit"
	"github.com/rephlo/rephlo/internal/id"
	"github.com/rephlo/rephlo/internal/list"
	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/pricing"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
	"github.com/rephlo/rephlo/internal/usage"
)

var noon = time.Date(2026, 3, 20, 12, 0, 0, 0, time.UTC)

func newService(db *sqldb.DB) *usage.Service {
	return usage.New(usage.Needs{DB: db, Now: func() time.Time { return noon }, Cursors: list.NewCursors([]byte("key"))})
}

// entry returns the record of a small streamed call of ada's.
func entry(change func(*usage.Entry)) usage.Entry {
	e := usage.Entry{
		ID: id.New("call", noon), RequestID: id.New("req", noon), UserID: "usr_ada", KeyID: "key_1",
		ModelID: "gpt-5-mini", VendorModel: "gpt-5-mini-2025", Provider: "openai", Operation: "chat",
		Status: usage.Success, Ending: "finished", Stream: true, Source: usage.Reported,
		Counts:  pricing.Counts{Input: 2000, CacheRead: 8000, Output: 300, Reasoning: 600, Units: pricing.Units{Images: 1, AudioSeconds: 2, Characters: 3, ServerToolCalls: 4, Requests: 5}},
		Charged: 330_000, CostPico: 2_500_000_000,
		Prices: pricing.Prices{Input: 250_000, CacheRead: pricing.At(25_000), Output: 2_000_000},
		Terms:  money.Terms{Multiplier: 13_000, CreditValue: 10_000, Increment: 10_000},
		At:     noon, DurationMS: 1200, FirstTokenMS: 80,
	}
	if change != nil {
		change(&e)
	}
	return e
}

func add(t *testing.T, s *usage.Service, entries ...usage.Entry) {
	t.Helper()
	for _, e := range entries {
		if err := s.Add(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
}

func same(t *testing.T, got, want usage.Entry) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(pricing.Optional{})); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestRecordsReadAsTheyWereWritten(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		s := newService(db)
		high := entry(func(e *usage.Entry) {
			e.Prices.Threshold, e.Prices.High = 200_000, &pricing.Prices{Input: 500_000, CacheRead: pricing.At(0), Output: 4_000_000}
			e.KeyID, e.ClientID, e.Suspect = "", "rephlo-desktop", true
		})
		usual := entry(func(e *usage.Entry) {
			e.Counts = pricing.Counts{Input: 1, CacheRead: 2, CacheWrite: 3, Output: 4, Reasoning: 5}
		})
		rare := entry(func(e *usage.Entry) {
			e.Counts = pricing.Counts{CacheWriteLong: 1, ImageInput: 2, AudioInput: 3, AudioOutput: 4, ImageOutput: 5}
			e.Counts.Units = pricing.Units{Images: 6, AudioSeconds: 7, Characters: 8, ServerToolCalls: 9, Requests: 10}
		})
		for _, want := range []usage.Entry{entry(nil), usual, rare, high} {
			add(t, s, want)
			got, err := s.Find(t.Context(), "usr_ada", want.ID)
			if err != nil {
				t.Fatal(err)
			}
			same(t, got, want)
		}
		if err := s.Add(t.Context(), high); !sqldb.IsUnique(err) {
			t.Errorf("second record of a call: %v, want a unique violation", err)
		}
	})
}

// A batch has any number of records, in the transaction of the ledger: all of
// them are there, or none.
func TestBatchIsWrittenWholeOrNotAtAll(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		s := newService(db)
		var batch []credit.Record
		for i := range 64 + 2*8 + 3 {
			batch = append(batch, entry(func(e *usage.Entry) { // of several shapes, mixed
				switch i % 5 {
				case 1:
					e.ModelID = "another"
				case 2:
					e.Counts.Images = 2
				}
			}))
		}
		count := func() (n int) {
			t.Helper()
			err := s.Charges(t.Context(), credit.Which{}, func(credit.Recorded) error { n++; return nil })
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		bad := errors.New("the rest of the batch failed")
		write := func(after error) error {
			return db.InTx(t.Context(), func(ctx context.Context) error {
				return errors.Join(s.WriteRecords(ctx, batch), after)
			})
		}
		if err := write(bad); !errors.Is(err, bad) || count() != 0 {
			t.Errorf("%v, and %d records were written", err, count())
		}
		if err := write(nil); err != nil || count() != len(batch) {
			t.Errorf("%v, and %d of %d records were written", err, count(), len(batch))
		}
	})
}

func TestChargesAreComplete(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		s := newService(db)
		for i := range 5 {
			add(t, s, entry(func(e *usage.Entry) {
				e.ID, e.Charged = fmt.Sprintf("call_%d", i), money.Credits(i)*10_000
			}))
		}
		for _, tt := range []struct {
			name  string
			which credit.Which
			want  []string
		}{
			{"all", credit.Which{}, []string{"call_1 0.01", "call_2 0.02", "call_3 0.03", "call_4 0.04"}},
			{"from one on", credit.Which{From: "call_3"}, []string{"call_3 0.03", "call_4 0.04"}},
			{"some", credit.Which{Calls: []string{"call_4", "call_0", "call_2", "call_x"}}, []string{"call_2 0.02", "call_4 0.04"}},
		} {
			var got []string
			err := db.ReadTx(t.Context(), func(ctx context.Context) error {
				return s.Charges(ctx, tt.which, func(r credit.Recorded) error {
					got = append(got, r.Call+" "+r.Charged.String())
					return nil
				})
			})
			slices.Sort(got)
			if diff := cmp.Diff(tt.want, got); err != nil || diff != "" {
				t.Errorf("%s: %v (-want +got)\n%s", tt.name, err, diff)
			}
		}
		stop := errors.New("stop")
		if err := s.Charges(t.Context(), credit.Which{}, func(credit.Recorded) error { return stop }); !errors.Is(err, stop) {
			t.Errorf("got %v, want the callback's error", err)
		}
	})
}

// A charge is priced again from what its record says.
func TestChargesArePricedAgain(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		s := newService(db)
		good := entry(nil)
		add(t, s, good)
		price := func(change string) (out credit.Recorded) {
			t.Helper()
			if _, err := db.Q(t.Context()).ExecContext(t.Context(), `UPDATE usage_record SET `+change); err != nil {
				t.Fatal(err)
			}
			err := s.Charges(t.Context(), credit.Which{}, func(r credit.Recorded) error { out = r; return nil })
			if err != nil {
				t.Fatal(err)
			}
			return out
		}
		if r := price(`charged = charged`); !r.Priced || r.Price != r.Charged || r.Price != good.Charged {
			t.Errorf("the record as it was written: %+v, want the price %s", r, good.Charged)
		}
		if r := price(`output = output + 100000`); !r.Priced || r.Price <= r.Charged {
			t.Errorf("more output: %+v, want a higher price", r)
		}
		if r := price(`input = -1`); !r.Priced || r.Price != -1 {
			t.Errorf("a negative count: %+v, want no price", r)
		}
		if r := price(`pricing = 'x'`); !r.Priced || r.Price != -1 {
			t.Errorf("prices that cannot be read: %+v, want no price", r)
		}
		if r := price(`pricing = '{}'`); r.Priced {
			t.Errorf("a record without terms: %+v, want that it is not priced", r)
		}
	})
}

// A page with a filter looks at so many records and no more; those that it does
// not reach are on the next ones.
func TestPagesWithAFilterAreBoundedAndMissNothing(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		s := newService(db)
		s.Look(4)
		var want []string
		for i := range 23 {
			e := entry(func(e *usage.Entry) {
				e.At = noon.Add(time.Duration(i-30) * time.Minute)
				e.ID = id.New("call", e.At)
				if i%7 == 0 {
					e.ModelID = "rare"
				}
			})
			add(t, s, e)
			if e.ModelID == "rare" {
				want = append([]string{e.ID}, want...)
			}
		}
		f := usage.Filter{ModelID: "rare", From: noon.Add(-time.Hour), Until: noon}
		for name, page := range map[string]func(cursor string) ([]usage.Entry, *string, error){
			"mine": func(cursor string) ([]usage.Entry, *string, error) {
				return s.List(t.Context(), "usr_ada", f, 3, cursor)
			},
			"everybody's": func(cursor string) ([]usage.Entry, *string, error) { return s.All(t.Context(), f, 3, cursor) },
			"of no time": func(cursor string) ([]usage.Entry, *string, error) {
				return s.List(t.Context(), "usr_ada", usage.Filter{ModelID: "rare"}, 3, cursor)
			},
		} {
			var got []string
			pages, cursor := 0, ""
			for {
				entries, next, err := page(cursor)
				if err != nil || len(entries) > 1 {
					t.Fatalf("%s: %d entries, %v", name, len(entries), err)
				}
				for _, e := range entries {
					got = append(got, e.ID)
				}
				if pages++; next == nil || pages > 50 {
					break
				}
				cursor = *next
			}
			if !slices.Equal(got, want) || pages < 5 || pages > 7 {
				t.Errorf("%s: %v in %d pages, want %v", name, got, pages, want)
			}
		}
	})
}

// While calls go on, somebody pages through the list: each record that was
// there at the start is shown once, whatever arrives meanwhile.
func TestPagesAreStableWhileRecordsArrive(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		s := newService(db)
		want := map[string]int{}
		for i := range 25 {
			e := entry(func(e *usage.Entry) { e.At = noon.Add(time.Duration(i/4) * time.Second) }) // several in one microsecond
			add(t, s, e)
			want[e.ID] = 1
		}
		add(t, s, entry(func(e *usage.Entry) { e.UserID = "usr_bob" }))
		got, cursor := map[string]int{}, ""
		for {
			page, next, err := s.List(t.Context(), "usr_ada", usage.Filter{}, 4, cursor)
			if err != nil {
				t.Fatal(err)
			}
			for i, e := range page {
				got[e.ID]++
				if i > 0 && e.At.After(page[i-1].At) {
					t.Errorf("%s at %s follows %s", e.ID, e.At, page[i-1].At)
				}
			}
			add(t, s, entry(func(e *usage.Entry) { e.At = noon.Add(time.Hour) }))
			if next == nil {
				break
			}
			cursor = *next
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("times shown (-want +got)\n%s", diff)
		}
		if _, _, err := s.List(t.Context(), "usr_ada", usage.Filter{}, 4, cursor+"x"); !errors.Is(err, list.ErrCursor) {
			t.Errorf("a changed cursor: %v", err)
		}
	})
}

func TestFilters(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		s := newService(db)
		plain, other := entry(nil), entry(func(e *usage.Entry) {
			e.ModelID, e.Operation, e.Status, e.KeyID, e.ClientID = "claude", "message", usage.Failed, "", "rephlo-cli"
			e.At = noon.Add(24 * time.Hour)
		})
		add(t, s, plain, other)
		for name, f := range map[string]usage.Filter{
			"model": {ModelID: "claude"}, "operation": {Operation: "message"}, "status": {Status: "failed"},
			"client": {ClientID: "rephlo-cli"}, "from": {From: noon.Add(time.Second)},
		} {
			got, _, err := s.List(t.Context(), "usr_ada", f, 10, "")
			if err != nil || len(got) != 1 || got[0].ID != other.ID {
				t.Errorf("%s: %d records, %v; want the other one", name, len(got), err)
			}
		}
		for name, f := range map[string]usage.Filter{"key": {KeyID: "key_1"}, "until": {Until: noon.Add(time.Second)}} {
			got, _, err := s.List(t.Context(), "usr_ada", f, 10, "")
			if err != nil || len(got) != 1 || got[0].ID != plain.ID {
				t.Errorf("%s: %d records, %v; want the plain one", name, len(got), err)
			}
		}
	})
}

func TestFindTakesTheNewestOfARequestID(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		s := newService(db)
		first := entry(func(e *usage.Entry) { e.RequestID = "mine-0001" })
		second := entry(func(e *usage.Entry) { e.RequestID, e.At = "mine-0001", noon.Add(time.Second) })
		bobs := entry(func(e *usage.Entry) { e.RequestID, e.UserID, e.At = "mine-0001", "usr_bob", noon.Add(time.Minute) })
		add(t, s, second, first, bobs)
		for given, want := range map[string]string{"mine-0001": second.ID, first.ID: first.ID} {
			if got, err := s.Find(t.Context(), "usr_ada", given); err != nil || got.ID != want {
				t.Errorf("Find(%s) = %s, %v; want %s", given, got.ID, err, want)
			}
		}
		for _, given := range []string{bobs.ID, "nothing", id.New("call", noon)} {
			if _, err := s.Find(t.Context(), "usr_ada", given); !errors.Is(err, usage.ErrNotFound) {
				t.Errorf("Find(%s): %v, want ErrNotFound", given, err)
			}
		}
	})
}

func TestRecoveredMakesTheRecordOfALostCall(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		s := newService(db)
		running := entry(func(e *usage.Entry) { e.Status, e.Ending, e.Charged = "", "", 0 })
		journal, err := running.Journal()
		if err != nil {
			t.Fatal(err)
		}
		for name, tt := range map[string]struct {
			journal []byte
			charged money.Credits
			model   string
			output  int64
		}{
			"delivered":  {journal, 330_000, "gpt-5-mini", 300},
			"nothing":    {journal, 0, "gpt-5-mini", 0},
			"unreadable": {[]byte(`{"id":"x\u0000"`), 10_000, "unknown", 0},
			"empty":      {nil, 0, "unknown", 0},
		} {
			o := credit.Orphan{Ref: id.New("call", noon), User: "usr_ada", Journal: tt.journal, Charged: tt.charged, Ending: "recovered", At: noon}
			r, err := s.Recovered(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			if err := s.WriteRecords(t.Context(), []credit.Record{r}); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			got, err := s.Find(t.Context(), "usr_ada", o.Ref)
			if err != nil || got.Charged != tt.charged || got.Ending != "recovered" || got.Status != usage.Failed ||
				got.ModelID != tt.model || got.Counts.Output != tt.output || !got.At.Equal(noon) {
				t.Errorf("%s: %+v, %v", name, got, err)
			}
		}
	})
}

func TestJournalRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := func(name string) int64 { return rapid.Int64Range(0, 1<<62).Draw(t, name) }
		text := func(name string) string { return rapid.StringMatching(`[a-zé"\\<\x01]{0,20}`).Draw(t, name) }
		want := usage.Entry{
			ID: text("id"), RequestID: text("request"), UserID: text("user"), KeyID: text("key"), ClientID: text("client"),
			ModelID: text("model"), VendorModel: text("vendor model"), Provider: text("provider"), Operation: text("operation"),
			Status: text("status"), Ending: text("ending"), Source: text("source"), Stream: rapid.Bool().Draw(t, "stream"), Suspect: rapid.Bool().Draw(t, "suspect"),
			Counts: pricing.Counts{
				Input: n("i"), CacheRead: n("cr"), CacheWrite: n("cw"), CacheWriteLong: n("cwl"), ImageInput: n("ii"), AudioInput: n("ai"), Output: n("o"), Reasoning: n("r"), AudioOutput: n("ao"), ImageOutput: n("io"),
				Units: pricing.Units{Images: n("im"), AudioSeconds: n("as"), Characters: n("ch"), ServerToolCalls: n("st"), Requests: n("rq")},
			},
			Charged: money.Credits(n("charged")), CostPico: n("cost"), DurationMS: n("ms"), FirstTokenMS: n("first"),
			Prices: pricing.Prices{
				Image: pricing.At(money.Price(n("pim"))), AudioSecond: pricing.At(1), Character: pricing.At(2), ServerToolCall: pricing.At(3), Request: pricing.At(4),
				Input: money.Price(n("pi")), CacheRead: pricing.At(money.Price(n("pcr"))), CacheWrite: pricing.At(0), CacheWriteLong: pricing.At(5),
				AudioInput: pricing.At(6), ImageOutput: pricing.At(7), Output: money.Price(n("po")),
			},
			Terms: money.Terms{Multiplier: n("bp"), CreditValue: n("value"), Increment: money.Credits(n("increment"))},
			At:    time.UnixMicro(n("at") >> 10).UTC(),
		}
		if rapid.Bool().Draw(t, "high") {
			want.Prices.Threshold, want.Prices.High = 200_000, &pricing.Prices{Input: 1, Reasoning: pricing.At(2)}
		}
		b, err := want.Journal()
		if err != nil {
			t.Fatal(err)
		}
		got, err := usage.FromJournal(b)
		if err != nil {
			t.Fatalf("%s: %v", b, err)
		}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(pricing.Optional{})); diff != "" {
			t.Fatalf("%s (-want +got)\n%s", b, diff)
		}
	})
}

func TestJournalIsBounded(t *testing.T) {
	t.Parallel()
	long := entry(func(e *usage.Entry) { e.ModelID = string(make([]byte, usage.MaxJournal)) })
	if _, err := long.Journal(); err == nil {
		t.Error("a journal above the limit was made")
	}
}

func FuzzFromJournal(f *testing.F) {
	b, err := entry(nil).Journal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"id":"call_1","tomorrow":{"x":[1]},"counts":{"input":1},"pricing":{"prices":{"input":1,"highContext":{"input":2}},"bp":1}}`))
	f.Add([]byte(`{"charged":-1}`))
	f.Add([]byte(`{"id":"\u0000"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := usage.FromJournal(data)
		if err != nil {
			return
		}
		_ = e.Lines()
		b, err := e.Journal()
		if err != nil {
			return // longer in our form
		}
		if !json.Valid(b) {
			t.Fatalf("%q became %q", data, b)
		}
		if _, err := usage.FromJournal(b); err != nil {
			t.Errorf("%q became %q: %v", data, b, err)
		}
	})
}

// Cases 5 and 7 of the product's price table: the lines at the prices that
// were used, and a charge that is their sum rounded up.
func TestLinesExplainTheCharge(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		counts pricing.Counts
		prices pricing.Prices
		bp     int64
		want   []string
	}{
		{
			pricing.Counts{Input: 2000, CacheWrite: 10_000, CacheRead: 50_000, Output: 1000},
			pricing.Prices{Input: 3_000_000, Output: 15_000_000, CacheRead: pricing.At(300_000), CacheWrite: pricing.At(3_750_000)},
			13_000,
			[]string{"input 2000 390 0.78", "cacheRead 50000 39 1.95", "cacheWrite 10000 487.5 4.875", "output 1000 1950 1.95"},
		},
		{
			pricing.Counts{Input: 60_000, CacheRead: 150_000, Output: 1000, Reasoning: 3000},
			pricing.Prices{Input: 1_250_000, Output: 10_000_000, Threshold: 200_000, High: &pricing.Prices{Input: 2_500_000, Output: 15_000_000, CacheRead: pricing.At(250_000)}},
			12_500,
			[]string{"input 60000 312.5 18.75", "cacheRead 150000 31.25 4.6875", "output 1000 1875 1.875", "reasoning 3000 1875 5.625"},
		},
	} {
		e := usage.Entry{Counts: tt.counts, Prices: tt.prices, Terms: money.Terms{Multiplier: tt.bp, CreditValue: 10_000, Increment: 10_000}}
		var got []string
		for _, l := range e.Lines() {
			got = append(got, fmt.Sprintf("%s %d %s %s", l.Class, l.Quantity, l.PerMillion, l.Credits))
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	}
}

func BenchmarkJournal(b *testing.B) {
	e := entry(nil)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := e.Journal(); err != nil {
			b.Fatal(err)
		}
	}
}

// One operation writes a batch of 100 records.
func BenchmarkWriteRecords(b *testing.B) {
	db := dbtest.Open(b, dbtest.SQLite(b))
	s := newService(db)
	batch := make([]credit.Record, 100)
	for b.Loop() {
		for i := range batch {
			batch[i] = entry(nil)
		}
		err := db.InTx(b.Context(), func(ctx context.Context) error { return s.WriteRecords(ctx, batch) })
		if err != nil {
			b.Fatal(err)
		}
	}
}

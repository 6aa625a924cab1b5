package pack_test

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/audit"
	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/pack"
	"github.com/rephlo/rephlo/internal/seal"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
	"github.com/rephlo/rephlo/internal/web"
)

// shop serves the packs to whoever the header Role names.
type shop struct {
	*pack.Service
	t      *testing.T
	mux    *web.Mux
	months int64
}

func newShop(t *testing.T, db *sqldb.DB) *shop {
	t.Helper()
	now := func() time.Time { return time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC) }
	box, err := seal.NewBox(make([]byte, seal.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	s := &shop{t: t, months: 12}
	s.Service = pack.New(pack.Needs{
		DB: db, Now: now, Audit: audit.New(audit.Needs{DB: db, Box: box, Log: slog.New(slog.DiscardHandler), Now: now}), Months: func() int64 { return s.months },
	})
	s.mux = web.NewMux(web.Config{Now: now, Use: []web.Middleware{func(next web.Handler) web.Handler {
		return func(w http.ResponseWriter, r *http.Request) error {
			if role := r.Header.Get("Role"); role != "" {
				r = r.WithContext(access.With(r.Context(), access.Actor{UserID: "usr_root", Scopes: []string{access.ScopeAdmin}, Roles: []string{role}}, nil))
			}
			return next(w, r)
		}
	}}})
	pack.API{Packs: s.Service, Currency: "USD"}.Mount(s.mux)
	return s
}

func (s *shop) do(role, request, body, match string, status int) (map[string]any, http.Header) {
	s.t.Helper()
	method, path, _ := strings.Cut(request, " ")
	r := httptest.NewRequestWithContext(s.t.Context(), method, path, strings.NewReader(body))
	r.Header.Set("Role", role)
	r.Header.Set("If-Match", match)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	rec := httptest.NewRecorder()
	s.mux.ServeHTTP(rec, r)
	out := map[string]any{}
	if err := json.Unmarshal(rec.Body.Bytes(), &out); err != nil || rec.Code != status {
		s.t.Fatalf("%s by %q: %d %s, %v, want %d", request, role, rec.Code, rec.Body, err, status)
	}
	return out, rec.Header()
}

func ids(list map[string]any) (out string) {
	for _, p := range list["data"].([]any) {
		out += p.(map[string]any)["id"].(string) + " "
	}
	return out
}

const why = `"reason":"a reason that is long enough"`

func TestThePriceListIsKeptByAdministrators(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		s := newShop(t, db)
		first, _ := s.do("", "GET /v1/credit-packs", "", "", 200)
		if got := ids(first); got != "pack_500 pack_2000 pack_10000 " {
			t.Errorf("the seeds: %s", got)
		}
		one := first["data"].([]any)[1].(map[string]any)
		if one["credits"] != 2000.0 || one["price"] != 2000.0 || one["currency"] != "USD" || one["expiryMonths"] != 12.0 {
			t.Errorf("a seed: %v", one)
		}
		made, head := s.do("admin", "POST /admin/credit-packs", `{"credits":100,"price":120,`+why+`}`, "", 201)
		id := made["id"].(string)
		if head.Get("Location") != "/admin/credit-packs/"+id || head.Get("ETag") != `"1"` || made["active"] != false {
			t.Errorf("made %v, %v", made, head)
		}
		if list, _ := s.do("", "GET /v1/credit-packs", "", "", 200); strings.Contains(ids(list), id) {
			t.Errorf("a pack that is not sold yet is offered")
		}
		edited, head := s.do("admin", "PATCH /admin/credit-packs/"+id, `{"active":true,"price":110,`+why+`}`, `"1"`, 200)
		if edited["price"] != 110.0 || edited["credits"] != 100.0 || edited["active"] != true || head.Get("ETag") != `"2"` {
			t.Errorf("edited %v, %v", edited, head)
		}
		if list, _ := s.do("", "GET /v1/credit-packs", "", "", 200); !strings.HasPrefix(ids(list), id) {
			t.Errorf("the cheapest is not the first: %s", ids(list))
		}
		s.do("admin", "PATCH /admin/credit-packs/"+id, `{"price":100,`+why+`}`, `"1"`, 412)
		s.do("admin", "PATCH /admin/credit-packs/"+id, `{"price":100,`+why+`}`, `"x"`, 412)
		s.do("admin", "PATCH /admin/credit-packs/pack_none", `{"price":100,`+why+`}`, "", 404)
		s.do("admin", "PATCH /admin/credit-packs/"+id, `{"price":100}`, "", 422)
		s.do("support", "PATCH /admin/credit-packs/"+id, `{"price":100,`+why+`}`, "", 403)
		s.do("admin", "POST /admin/credit-packs", `{"credits":0,"price":120,`+why+`}`, "", 422)
		s.do("", "GET /admin/credit-packs", "", "", 401)
		s.months = 0
		list, _ := s.do("admin", "GET /admin/credit-packs", "", "", 200)
		if one := list["data"].([]any)[0].(map[string]any); one["expiryMonths"] != nil || one["version"] != 2.0 {
			t.Errorf("for ever: %v", one)
		}
		var audited int
		if err := db.Q(t.Context()).QueryRowContext(t.Context(), `SELECT COUNT(*) FROM audit_log WHERE action LIKE 'credit_packs.%'`).Scan(&audited); err != nil || audited != 2 {
			t.Errorf("%d changes are remembered, %v, want 2", audited, err)
		}
	})
}

func TestWhatAPackGives(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		s := newShop(t, db)
		for months, want := range map[int64]time.Time{12: time.Date(2027, 1, 31, 12, 0, 0, 0, time.UTC), 1: time.Date(2026, 2, 28, 12, 0, 0, 0, time.UTC), 0: {}} {
			s.months = months
			if credits, until, err := s.Gives(t.Context(), "pack_500"); err != nil || credits != 500*money.Credit || !until.Equal(want) {
				t.Errorf("%d months: %s until %s, %v, want %s", months, credits, until, err, want)
			}
		}
		if _, _, err := s.Gives(t.Context(), "pack_none"); !errors.Is(err, pack.ErrUnknown) {
			t.Errorf("none: %v", err)
		}
	})
}

func TestOfManyWhoEditAPackOneDoes(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		s := newShop(t, db)
		var (
			all sync.WaitGroup
			mu  sync.Mutex
			won int
		)
		for range 6 {
			all.Go(func() {
				ctx := access.With(t.Context(), access.Actor{UserID: "usr_root"}, nil)
				_, err := s.Change(ctx, "pack_500", 1, pack.Edit{Price: new(int64(600))}, "a reason that is long enough")
				switch {
				case err == nil:
					mu.Lock()
					won++
					mu.Unlock()
				case !errors.Is(err, pack.ErrEdited):
					t.Error(err)
				}
			})
		}
		all.Wait()
		if won != 1 {
			t.Errorf("%d edited the same version", won)
		}
	})
}

package catalog_test

import (
	"encoding/json"
	"maps"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rephlo/rephlo/internal/catalog"
	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/pricing"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
)

// prices are the input prices of the model m at some minutes from now.
func (o *office) prices(minutes ...int) (out []money.Price) {
	o.t.Helper()
	m, err := o.models.Model("m")
	if err != nil {
		o.t.Fatal(err)
	}
	for _, n := range minutes {
		p := m.Prices(o.clock.now().Add(time.Duration(n) * time.Minute))
		if p == nil {
			out = append(out, -1)
			continue
		}
		out = append(out, p.Input)
	}
	return out
}

func (o *office) price(key string, minutes int, input int) answer {
	body := fields{"providerId": "acme", "vendorModelId": "vm", "reason": why, "prices": fields{"input": input, "output": 7}}
	if minutes != 0 {
		body["effectiveFrom"] = o.clock.now().Add(time.Duration(minutes) * time.Minute)
	}
	return o.do("POST", "/admin/pricing/vendor-prices", body, "Idempotency-Key", key)
}

// A price of the future is in the snapshot before it holds: it needs no message
// to begin at its second.
func TestPricesChangeAtTheirSecond(t *testing.T) {
	onOffice(t, func(o *office) {
		o.withModel("acme", "m")
		if a := o.price("late", 20, 9); a.code != 201 {
			o.t.Fatal(a.text)
		}
		between := o.price("between", 10, 6)
		if between.code != 201 || between.at("effectiveUntil") == nil {
			o.t.Fatal(between.text)
		}
		o.seen("both", func() bool { p := o.prices(10, 20); return p[0] == 6 && p[1] == 9 })
		if p := o.prices(-1, 0, 9, 10, 19, 20, 999); p[0] != -1 || p[1] != 5 || p[2] != 5 || p[3] != 6 || p[4] != 6 || p[5] != 9 || p[6] != 9 {
			o.t.Errorf("prices %v", p)
		}
		id, _ := between.at("id").(string)
		o.must(204, "DELETE", "/admin/pricing/vendor-prices/"+id+"?reason=it+was+a+mistake", nil)
		o.seen("the gap closed", func() bool { p := o.prices(10, 19, 20); return p[0] == 5 && p[1] == 5 && p[2] == 9 })
		o.clock.advance(20 * time.Minute)
		o.refused(409, "invalid_state", "DELETE", "/admin/pricing/vendor-prices/"+o.price("late", 0, 9).at("id").(string)+"?reason=it+was+a+mistake", nil)
		if p := o.prices(0); p[0] != 9 {
			o.t.Errorf("price %v", p)
		}
	})
}

func TestAPriceIsSetOnceAndNeverInThePast(t *testing.T) {
	onOffice(t, func(o *office) {
		o.withModel("acme", "m")
		o.clock.advance(time.Minute)
		first := o.price("key", 0, 8)
		again := o.price("key", 0, 8)
		if first.code != 201 || again.code != 201 || again.at("id") != first.at("id") || again.header.Get("Idempotency-Replayed") != "true" {
			o.t.Errorf("first %s, again %s", first.text, again.text)
		}
		if a := o.price("key", 0, 9); a.code != 422 || a.at("error", "code") != "idempotency_key_reuse" {
			o.t.Errorf("another body: %s", a.text)
		}
		if a := o.price("", 0, 9); a.code != 400 || a.at("error", "code") != "idempotency_key_required" {
			o.t.Errorf("no key: %s", a.text)
		}
		if a := o.price("past", -1, 9); a.code != 422 {
			o.t.Errorf("in the past: %s", a.text)
		}
		if n := count(o.t, o.db, `SELECT COUNT(*) FROM catalog_price WHERE provider = 'acme'`); n != 2 {
			o.t.Errorf("%d rows, want 2", n)
		}
		o.refused(422, "validation_error", "POST", "/admin/pricing/vendor-prices", fields{
			"providerId": "acme", "vendorModelId": "vm", "reason": why, "prices": fields{"input": 1, "output": 1, "contextThreshold": 5},
		}, "Idempotency-Key", "half a threshold")
		o.refused(422, "validation_error", "POST", "/admin/pricing/vendor-prices", fields{
			"providerId": "nobody", "vendorModelId": "vm", "reason": why, "prices": fields{"input": 1, "output": 1},
		}, "Idempotency-Key", "nobody")
		o.clock.advance(time.Hour)
		id, _ := first.at("id").(string)
		if a := o.must(200, "POST", "/admin/pricing/vendor-prices/"+id+"/verify", fields{"reason": why}); a.at("verifiedAt") == first.at("verifiedAt") {
			o.t.Errorf("verified at %v", a.at("verifiedAt"))
		}
		page := o.must(200, "GET", "/admin/pricing/vendor-prices?provider=acme&limit=1", nil)
		cursor, _ := page.at("nextCursor").(string)
		if rows, _ := page.at("data").([]any); len(rows) != 1 || cursor == "" {
			o.t.Errorf("page %s", page.text)
		}
		if rows, _ := o.must(200, "GET", "/admin/pricing/vendor-prices?provider=acme&limit=1&cursor="+cursor, nil).at("data").([]any); len(rows) != 1 {
			o.t.Errorf("second page %v", rows)
		}
	})
}

// Every class of a price can be written and comes back as it was.
func TestAPriceHasAllClasses(t *testing.T) {
	onOffice(t, func(o *office) {
		o.withModel("acme", "m")
		set := fields{}
		for i, name := range []string{
			"input", "cacheRead", "cacheWrite", "cacheWriteLong", "imageInput", "audioInput", "output", "reasoning", "audioOutput", "imageOutput",
			"audioSeconds", "characters", "serverToolCall", "request",
		} {
			set[name] = i + 1
		}
		set["imageBy"] = []fields{{"size": "1024x1024", "quality": "high", "price": 99}}
		whole := fields{"contextThreshold": 200_000, "highContext": set}
		maps.Copy(whole, set)
		a := o.must(201, "POST", "/admin/pricing/vendor-prices", fields{
			"providerId": "acme", "vendorModelId": "other", "reason": why, "prices": whole,
		}, "Idempotency-Key", "all")
		want, err := json.Marshal(whole)
		if err != nil {
			o.t.Fatal(err)
		}
		var wanted any
		if err := json.Unmarshal(want, &wanted); err != nil {
			o.t.Fatal(err)
		}
		if diff := cmp.Diff(wanted, a.at("prices")); diff != "" {
			o.t.Errorf("prices (-sent +got):\n%s", diff)
		}
	})
}

func TestTheMarginOfAModelIsShown(t *testing.T) {
	onOffice(t, func(o *office) {
		o.withModel("acme", "m")
		a := o.must(200, "GET", "/admin/pricing/effective?model=m", nil)
		if a.at("multiplierBp") != 15_000.0 || a.at("marginBp") != 3334.0 || a.at("vendorPrices", "input") != 5.0 || a.at("providerId") != "acme" {
			o.t.Errorf("%s", a.text)
		}
		o.refused(404, "not_found", "GET", "/admin/pricing/effective?model=m&at=2020-01-01T00:00:00Z", nil)
	})
}

// A drained primary route changes who serves a call, not what it costs.
func TestTheFirstRouteSetsThePriceWhileItIsDrained(t *testing.T) {
	onOffice(t, func(o *office) {
		o.withModel("acme", "m")
		o.withModel("other", "n")
		o.must(200, "PATCH", "/admin/models/m", fields{"reason": why, "routes": []fields{
			{"providerId": "acme", "vendorModelId": "vm"}, {"providerId": "other", "vendorModelId": "vm", "priority": 1},
		}})
		o.price("dear", 0, 50)
		o.must(204, "POST", "/admin/providers/acme/drain", fields{"reason": why})
		o.seen("the drain", func() bool {
			m, err := o.models.Model("m")
			return err == nil && len(m.Routes) == 1 && m.Routes[0].Provider.Name == "other"
		})
		if p := o.prices(0); p[0] != 5 { // the test's clock stands still, so the dear row was refused
			o.t.Errorf("price %v", p)
		}
	})
}

// What an administrator wrote is not replaced by the configuration.
func TestTheConfigurationLeavesWhatAdministratorsWrote(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		c := newClock()
		configured := func(input money.Price) catalog.ProviderConfig {
			return provider("acme", model("m", pricing.Prices{Input: input, Output: 7}), model("free", pricing.Prices{Input: input, Output: 7}))
		}
		o := newOffice(t, db, c, configured(5))
		o.refused(409, "invalid_state", "PATCH", "/admin/providers/acme", fields{"baseUrl": "https://evil.test/v1", "reason": why})
		o.refused(409, "invalid_state", "DELETE", "/admin/providers/acme?reason=not+used+any+more", nil)
		o.refused(409, "invalid_state", "DELETE", "/admin/providers/acme/keys/pkey_acme?reason=not+used+any+more", nil)
		o.must(200, "PATCH", "/admin/providers/acme", fields{"name": "The ACME company", "timeouts": fields{"idleMs": 5000}, "reason": why})
		o.must(200, "PATCH", "/admin/models/m", fields{"name": "Mine", "reason": why})
		o.must(200, "PATCH", "/admin/models/free/tier", fields{"tierRestrictionMode": "exact", "requiredTier": "pro", "reason": why})
		c.advance(time.Minute)
		if a := o.do("POST", "/admin/pricing/vendor-prices", fields{"providerId": "acme", "vendorModelId": "m", "reason": why, "prices": fields{"input": 60, "output": 70}}, "Idempotency-Key", "mine"); a.code != 201 || a.at("override") != true {
			t.Fatal(a.text)
		}
		c.advance(time.Minute)
		o = newOffice(t, db, c, configured(6))
		m, err := o.models.Model("m")
		if err != nil || m.Name != "Mine" || m.Prices(c.now()).Input != 60 || m.Routes[0].Provider.Timeouts.IdleMS != 5000 {
			t.Errorf("%+v, %v", m, err)
		}
		free, err := o.models.Model("free")
		if err != nil || free.Prices(c.now()).Input != 6 || free.Access.Mode != catalog.AccessExact || free.Access.Tier != "pro" {
			t.Errorf("%+v, %v", free, err)
		}
		c.advance(time.Minute)
		o = newOffice(t, db, c) // the provider is not configured any more
		if m, err = o.models.Model("m"); err != nil || len(m.Routes) != 0 || m.Prices(c.now()) != nil {
			t.Errorf("without its provider: %+v, %v", m, err)
		}
	})
}

package catalog_test

import (
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/catalog"
)

func TestTheOperatorSaysHowLongAnswersAreKept(t *testing.T) {
	onOffice(t, func(o *office) {
		o.withModel("acme", "m")
		if a := o.must(200, "GET", "/admin/models/m", nil); a.at("cacheSeconds") != 0.0 {
			o.t.Errorf("unless it is said: %s", a.text)
		}
		a := o.must(200, "PATCH", "/admin/models/m", fields{"cacheSeconds": 3600, "reason": why})
		if a.at("cacheSeconds") != 3600.0 {
			o.t.Errorf("%s", a.text)
		}
		o.seen("an hour", func() bool { m, err := o.models.Model("m"); return err == nil && m.CacheFor == time.Hour })
		if a := o.do("PATCH", "/admin/models/m", fields{"cacheSeconds": 3601, "reason": why}); a.code != 422 {
			o.t.Errorf("more than an hour: %d %s", a.code, a.text)
		}
		if _, err := o.models.EditEntry(o.t.Context(), "m", catalog.By{Actor: "usr_1", Reason: why}, func(e *catalog.Entry) { e.CacheSeconds = -1 }); err == nil {
			o.t.Error("less than nothing was taken")
		}
	})
}

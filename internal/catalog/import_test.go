package catalog_test

import (
	"maps"
	"testing"
	"time"
)

// standings are how the models of the list stand, by name.
func standings(t *testing.T, a answer) map[string]string {
	t.Helper()
	out := map[string]string{}
	data, _ := a.at("models").([]any)
	for _, v := range data {
		m := v.(map[string]any)
		out[m["vendorModelId"].(string)] = m["standing"].(string)
		if m["imported"] == true {
			out[m["vendorModelId"].(string)] += " imported"
		}
	}
	return out
}

// The list is compared, what was chosen becomes rows; what a person wrote stays,
// and what cannot be believed waits for somebody to look.
func TestPricesAreImportedAsChosen(t *testing.T) {
	onOffice(t, func(o *office) {
		o.must(201, "POST", "/admin/providers", fields{"id": "anthropic", "vendor": "compat", "baseUrl": "https://acme.test/v1", "reason": why})
		row := func(model string, input, output int, key string) {
			o.must(201, "POST", "/admin/pricing/vendor-prices", fields{
				"providerId": "anthropic", "vendorModelId": model, "reason": why, "prices": fields{"input": input, "output": output},
			}, "Idempotency-Key", key)
		}
		row("claude-haiku-4-5-20251001", 1, 2, "mine")
		row("gone", 1, 2, "gone")
		ask := func(more fields) fields {
			f := fields{"providerId": "anthropic", "reason": why}
			maps.Copy(f, more)
			return f
		}
		dry := standings(o.t, o.must(200, "POST", "/admin/pricing/vendor-prices/import", ask(fields{"dryRun": true, "all": true})))
		if dry["claude-haiku-4-5-20251001"] != "override" || dry["gone"] != "retired" || dry["claude-opus-4-5-20251101"] != "added" {
			o.t.Fatalf("%v", dry)
		}
		if n := count(o.t, o.db, `SELECT COUNT(*) FROM catalog_price WHERE provider = 'anthropic'`); n != 2 {
			o.t.Errorf("a dry run wrote: %d rows", n)
		}
		o.refused(422, "validation_error", "POST", "/admin/pricing/vendor-prices/import", ask(fields{"vendorModelIds": []string{"claude-haiku-4-5-20251001"}}))
		done := standings(o.t, o.must(200, "POST", "/admin/pricing/vendor-prices/import", ask(fields{"all": true})))
		if done["claude-opus-4-5-20251101"] != "added imported" || done["claude-haiku-4-5-20251001"] != "override" {
			o.t.Errorf("%v", done)
		}
		again := standings(o.t, o.must(200, "POST", "/admin/pricing/vendor-prices/import", ask(fields{"all": true})))
		if again["claude-opus-4-5-20251101"] != "same" {
			o.t.Errorf("a second import: %v", again)
		}
		// An imported row far from the list is suspicious.
		o.clock.advance(time.Minute)
		const far = `UPDATE catalog_price SET prices = '{"input":1,"output":1}' WHERE vendor_model = 'claude-opus-4-5-20251101'`
		if _, err := o.db.Q(o.t.Context()).ExecContext(o.t.Context(), far); err != nil {
			o.t.Fatal(err)
		}
		chosen := fields{"vendorModelIds": []string{"claude-opus-4-5-20251101"}}
		o.refused(422, "validation_error", "POST", "/admin/pricing/vendor-prices/import", ask(chosen))
		chosen["confirmed"] = []string{"claude-opus-4-5-20251101"}
		if got := standings(o.t, o.must(200, "POST", "/admin/pricing/vendor-prices/import", ask(chosen))); got["claude-opus-4-5-20251101"] != "suspicious imported" {
			o.t.Errorf("confirmed: %v", got["claude-opus-4-5-20251101"])
		}
		o.refused(422, "validation_error", "POST", "/admin/pricing/vendor-prices/import", ask(fields{"list": "nobody"}))
	})
}

package catalog_test

import (
	"strings"
	"testing"

	"github.com/rephlo/rephlo/internal/catalog"
	"github.com/rephlo/rephlo/internal/tier"
)

func TestTiersDecideWhoMayCallAModel(t *testing.T) {
	t.Parallel()
	tiers := tier.Seeds()
	for _, tt := range []struct {
		access  catalog.Access
		allowed string
		denied  string
	}{
		{catalog.Access{Mode: catalog.AccessMinimum, Tier: "free"}, "free pro enterprise_pro_plus unlimited", "gold"},
		{catalog.Access{Mode: catalog.AccessMinimum, Tier: "pro"}, "pro pro_plus unlimited", "free gold"},
		{catalog.Access{Mode: catalog.AccessExact, Tier: "pro"}, "pro", "free pro_plus unlimited"},
		{catalog.Access{Mode: catalog.AccessWhitelist, Tiers: []string{"free", "pro_max"}}, "free pro_max", "pro unlimited gold"},
		{catalog.Access{Mode: "everybody", Tier: "free"}, "", "free pro unlimited"},
		{catalog.Access{}, "", "free pro unlimited"},
		{catalog.Access{Mode: catalog.AccessMinimum, Tier: "gold"}, "", "free unlimited"},
	} {
		for name := range strings.FieldsSeq(tt.allowed) {
			if !tt.access.Allows(name, tiers) {
				t.Errorf("%+v denies %s", tt.access, name)
			}
		}
		for name := range strings.FieldsSeq(tt.denied) {
			if tt.access.Allows(name, tiers) {
				t.Errorf("%+v allows %s", tt.access, name)
			}
		}
	}
}

func TestAccessIsSetForSeveralModelsAndTakenBack(t *testing.T) {
	onOffice(t, func(o *office) {
		o.withModel("acme", "m")
		o.withModel("other", "n")
		bulk := fields{"modelIds": []string{"m", "n"}, "tierRestrictionMode": "minimum", "requiredTier": "pro", "reason": why, "dryRun": true}
		o.must(200, "POST", "/admin/models/tiers/bulk", bulk)
		if a := o.must(200, "GET", "/admin/models/m", nil); a.at("access", "tier") != "free" {
			o.t.Errorf("a dry run changed %s", a.text)
		}
		delete(bulk, "dryRun")
		o.must(200, "POST", "/admin/models/tiers/bulk", bulk)
		o.seen("both", func() bool {
			m, err := o.models.Model("m")
			n, err2 := o.models.Model("n")
			return err == nil && err2 == nil && m.Access.Tier == "pro" && n.Access.Tier == "pro"
		})
		bulk["modelIds"] = []string{"m", "nowhere"}
		o.refused(422, "validation_error", "POST", "/admin/models/tiers/bulk", bulk)
		o.refused(422, "validation_error", "PATCH", "/admin/models/m/tier", fields{"tierRestrictionMode": "whitelist", "reason": why})
		log := o.must(200, "GET", "/admin/models/tiers/audit-logs?limit=2", nil)
		data, _ := log.at("data").([]any)
		if len(data) != 2 {
			o.t.Fatalf("log %s", log.text)
		}
		for _, e := range data {
			id, _ := e.(map[string]any)["id"].(string)
			o.must(200, "POST", "/admin/models/tiers/revert/"+id, fields{"reason": why})
			o.refused(409, "invalid_state", "POST", "/admin/models/tiers/revert/"+id, fields{"reason": why})
		}
		if a := o.must(200, "GET", "/admin/models/tiers", nil); a.at("nextCursor") != nil {
			o.t.Errorf("%s", a.text)
		}
		if a := o.must(200, "GET", "/admin/models/n", nil); a.at("access", "tier") != "free" {
			o.t.Errorf("not taken back: %s", a.text)
		}
	})
}

func TestConstraintsAreChecked(t *testing.T) {
	onOffice(t, func(o *office) {
		o.withModel("acme", "m")
		put := func(parameters fields) answer {
			return o.do("PUT", "/admin/models/m/parameters", fields{"parameters": parameters, "reason": why})
		}
		for name, parameters := range map[string]fields{
			"priced parameter":    {"max_tokens": fields{"min": 1}},
			"bad name":            {"Bad Name": fields{"min": 1}},
			"min above max":       {"temperature": fields{"min": 2, "max": 1}},
			"default not allowed": {"temperature": fields{"min": 0, "max": 1, "default": 1.5}},
			"default unsupported": {"temperature": fields{"onUnsupported": "drop", "default": 1}},
			"word":                {"temperature": fields{"onUnsupported": "explode"}},
			"excludes itself":     {"temperature": fields{"mutuallyExclusiveWith": []string{"temperature"}}},
			"two defaults":        {"temperature": fields{"default": 1, "mutuallyExclusiveWith": []string{"top_p"}}, "top_p": fields{"default": 1}},
			"renamed to a price":  {"limit": fields{"rename": "max_tokens"}},
			"allowed object":      {"stop": fields{"allowedValues": []any{fields{}}}},
		} {
			if a := put(parameters); a.code != 422 {
				o.t.Errorf("%s: %d %s", name, a.code, a.text)
			}
		}
		good := fields{
			"temperature": fields{"min": 0, "max": 1, "default": 0.7, "mutuallyExclusiveWith": []string{"top_p"}},
			"top_k":       fields{"onUnsupported": "reject"},
			"stop":        fields{"maxItems": 4},
			"verbosity":   fields{"allowedValues": []any{"low", "high", 1, true}},
		}
		if a := put(good); a.code != 200 || a.at("parameters", "temperature", "max") != 1.0 {
			o.t.Fatalf("%d %s", a.code, a.text)
		}
		o.seen("the constraints", func() bool { m, err := o.models.Model("m"); return err == nil && len(m.Constraints) == 4 })
		o.must(204, "DELETE", "/admin/models/m/parameters/stop?reason=not+used+any+more", nil)
		o.refused(404, "not_found", "DELETE", "/admin/models/m/parameters/stop?reason=not+used+any+more", nil)
		if a := o.must(200, "GET", "/admin/models/m/parameters", nil); a.at("parameters", "stop") != nil {
			o.t.Errorf("%s", a.text)
		}
	})
}

package cli_test

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestPricesAreImportedFromTheCommandLine(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, i installation) {
		i.run(t, "", "migrate").want(t, 0)
		i.run(t, "", "catalog", "import", "openai").want(t, 1, "no such provider")
		i.exec(t, `INSERT INTO catalog_provider (name, vendor, base_url, options, allow_private, enabled, origin, updated_at)
			VALUES ('openai', 'openai', 'https://api.openai.com/v1', '{}', FALSE, TRUE, 'admin', 1)`)
		standing := func(args ...string) map[string]string {
			t.Helper()
			r := i.run(t, "", append([]string{"catalog", "import", "openai", "--json"}, args...)...)
			r.want(t, 0)
			var models []struct {
				Model    string `json:"vendorModelId"`
				Standing string `json:"standing"`
				Imported bool   `json:"imported"`
			}
			if err := json.Unmarshal([]byte(r.out), &models); err != nil {
				t.Fatalf("%v: %s", err, r.out)
			}
			out := map[string]string{}
			for _, m := range models {
				out[m.Model] = m.Standing
				if m.Imported {
					out[m.Model] = "imported"
				}
			}
			return out
		}
		first := standing()
		if first["gpt-5-mini"] != "added" || first["gpt-5"] != "added" {
			t.Fatalf("before anything was imported: %v", first)
		}
		if got := standing("gpt-5-mini"); got["gpt-5-mini"] != "imported" || got["gpt-5"] != "added" {
			t.Errorf("one of them: %v", got)
		}
		if got := standing(); got["gpt-5-mini"] != "same" || got["gpt-5"] != "added" {
			t.Errorf("afterwards: %v", got)
		}
		if got := standing("--changes"); got["gpt-5-mini"] != "" {
			t.Errorf("what is the same is shown: %v", got)
		}
		table := i.run(t, "", "catalog", "import", "openai", "--all")
		table.want(t, 0)
		if !strings.Contains(table.out, "gpt-5-mini") || !strings.Contains(table.out, "$0.25/$2") || !strings.Contains(table.out, "imported") {
			t.Errorf("%s", table.out)
		}
		for model, how := range standing() {
			if how == "added" || how == "changed" {
				t.Errorf("%s is still %s", model, how)
			}
		}
		i.run(t, "", "catalog", "import", "openai", "gpt-5", "--reason", "short").want(t, 1, "reason")
		i.run(t, "", "catalog", "import", "openai", "--list", "nobody").want(t, 1, "no provider")
	})
}

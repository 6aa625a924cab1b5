package gateway_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/catalog"
	"github.com/rephlo/rephlo/internal/money"
)

// change makes a change of the catalogue and waits until this process has it.
func (w *world) change(what string, change func() error, seen func() bool) {
	w.t.Helper()
	if err := change(); err != nil {
		w.t.Fatalf("%s: %v", what, err)
	}
	deadline := time.Now().Add(10 * time.Second)
	for !seen() {
		if time.Now().After(deadline) {
			w.t.Fatalf("%s: not in the snapshot", what)
		}
		time.Sleep(time.Millisecond)
	}
}

var byTest = catalog.By{Actor: "usr_admin", Reason: "because a test wants it"}

func (w *world) model(id string) *catalog.Model {
	w.t.Helper()
	m, err := w.models.Model(id)
	if err != nil {
		w.t.Fatal(err)
	}
	return m
}

func (w *world) restrict(model string, a catalog.Access) {
	w.t.Helper()
	w.change("access", func() error { _, err := w.models.SetAccess(w.t.Context(), model, a, byTest); return err },
		func() bool { return w.model(model).Access.Mode == a.Mode && w.model(model).Access.Tier == a.Tier })
}

func TestTiersAndKeysDecideWhichModelsMayBeCalled(t *testing.T) {
	t.Parallel()
	run(t, quick(), 100*money.Credit, func(t *testing.T, w *world) {
		w.one.does(says(200, okAnswer))
		w.plans.set("free")
		w.restrict("single", catalog.Access{Mode: catalog.AccessMinimum, Tier: "pro"})
		r := w.post(chat("single", ""))
		var body struct {
			Error struct {
				Details struct {
					ModelID       string   `json:"modelId"`
					UserTier      string   `json:"userTier"`
					RequiredTiers []string `json:"requiredTiers"`
					UpgradeURL    string   `json:"upgradeUrl"`
				} `json:"details"`
			} `json:"error"`
		}
		if err := json.Unmarshal([]byte(r.body), &body); err != nil {
			t.Fatal(err)
		}
		d := body.Error.Details
		if r.status != 403 || r.code() != "model_access_restricted" || d.ModelID != "single" || d.UserTier != "free" || d.UpgradeURL == "" ||
			!slices.Equal(d.RequiredTiers, []string{"pro", "pro_plus", "pro_max", "enterprise_pro", "enterprise_pro_plus"}) {
			t.Errorf("%d %s", r.status, r.body)
		}
		if w.one.calls.Load() != 0 {
			t.Error("the vendor was called")
		}
		w.plans.set("pro")
		if r := w.post(chat("single", "")); r.status != 200 {
			t.Errorf("with the tier: %d %s", r.status, r.body)
		}
		w.restrict("single", catalog.Access{Mode: catalog.AccessExact, Tier: "free"})
		if r := w.post(chat("single", "")); r.status != 403 {
			t.Errorf("exact: %d %s", r.status, r.body)
		}
		w.plans.set("a tier that nobody knows")
		if r := w.post(chat("m", "")); r.status != 403 {
			t.Errorf("an unknown tier: %d %s", r.status, r.body)
		}
		w.plans.set("free")
		if r := w.post(chat("cheap", ""), "Authorization", "Bearer narrow"); r.status != 403 || r.code() != "model_not_allowed_for_key" {
			t.Errorf("a model that the key does not list: %d %s", r.status, r.body)
		}
		if r := w.post(chat("m", ""), "Authorization", "Bearer narrow"); r.status != 200 {
			t.Errorf("one that it lists: %d %s", r.status, r.body)
		}
	})
}

// A fallback that the caller may not use does not answer.
func TestAFallbackNeedsTheSameRights(t *testing.T) {
	t.Parallel()
	run(t, quick(), 100*money.Credit, func(t *testing.T, w *world) {
		w.one.does(says(500, "{}"))
		w.two.does(says(200, okAnswer))
		w.plans.set("free")
		if r := w.post(chat("failing", "")); r.status != 200 || r.header.Get("X-Rephlo-Model") != "dear" {
			t.Fatalf("%d %s", r.status, r.body)
		}
		w.restrict("dear", catalog.Access{Mode: catalog.AccessMinimum, Tier: "pro"})
		if r := w.post(chat("failing", "")); r.status != 502 || w.two.calls.Load() != 1 {
			t.Errorf("%d %s after %d calls", r.status, r.body, w.two.calls.Load())
		}
	})
}

func constraints(t *testing.T, text string) catalog.Constraints {
	t.Helper()
	var c catalog.Constraints
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		t.Fatal(err)
	}
	return c
}

func (w *world) constrain(model, text string) {
	w.t.Helper()
	c := constraints(w.t.(*testing.T), text)
	w.change("parameters", func() error { _, err := w.models.SetParameters(w.t.Context(), model, c, byTest); return err },
		func() bool { return len(w.model(model).Constraints) == len(c) })
}

func TestConstraintsDecideWhatAVendorGets(t *testing.T) {
	t.Parallel()
	run(t, quick(), 1000*money.Credit, func(t *testing.T, w *world) {
		w.one.does(says(200, okAnswer))
		w.constrain("single", `{
			"top_k": {"onUnsupported": "drop"},
			"seed": {"onUnsupported": "reject"},
			"temperature": {"min": 0, "max": 1, "default": 0.5, "mutuallyExclusiveWith": ["top_p"]},
			"stop": {"maxItems": 2},
			"verbosity": {"allowedValues": ["low", "high", 3]},
			"reasoning_effort": {"rename": "effort", "default": "low"}
		}`)
		for _, tt := range []struct {
			name, rest string
			code       string // "" is success
			param      string
			want       string // in the vendor's body
			not        string
			warning    string
		}{
			{name: "unknown parameters pass", rest: `,"brand_new":{"a":[1]},"temperature":1`, want: `"brand_new":{"a":[1]},"temperature":1`},
			{name: "dropped", rest: `,"top_k":5,"temperature":1`, not: "top_k", warning: `dropped;param="top_k"`},
			{name: "dropped by an escaped name", rest: `,"top\u005fk":5`, not: `:5`, warning: `dropped;param="top_k"`},
			{name: "rejected", rest: `,"seed":1`, code: "unsupported_parameter", param: "seed"},
			{name: "null is not sent", rest: `,"seed":null`, not: "seed"},
			{name: "conflict", rest: `,"top_p":0.5,"temperature":0.5`, code: "parameter_conflict", param: "temperature"},
			{name: "at the bound", rest: `,"temperature":1.0`, want: `"temperature":1.0`},
			{name: "above", rest: `,"temperature":1.01`, code: "parameter_out_of_range", param: "temperature"},
			{name: "exponent", rest: `,"temperature":1e1`, code: "parameter_out_of_range", param: "temperature"},
			{name: "no number", rest: `,"temperature":"1"`, code: "parameter_out_of_range", param: "temperature"},
			{name: "items", rest: `,"stop":["a","b","c"]`, code: "parameter_out_of_range", param: "stop"},
			{name: "not allowed", rest: `,"verbosity":"medium"`, code: "parameter_out_of_range", param: "verbosity"},
			{name: "allowed by value", rest: `,"verbosity":3.0`, want: `"verbosity":3.0`},
			{name: "defaults", rest: ``, want: `,"effort":"low","temperature":0.5,"model"`},
			{name: "no default beside a partner", rest: `,"top_p":0.5`, want: `,"effort":"low","model"`, not: `"temperature"`},
			{name: "renamed", rest: `,"reasoning_effort":"high","temperature":1`, want: `"effort":"high","temperature":1`, not: "reasoning_effort"},
			{name: "renamed twice", rest: `,"reasoning_effort":"high","effort":"low"`, code: "parameter_conflict", param: "reasoning_effort"},
		} {
			calls := w.one.calls.Load()
			r := w.post(chat("single", tt.rest))
			if tt.code != "" {
				var body struct{ Error struct{ Param string } }
				_ = json.Unmarshal([]byte(r.body), &body) // no parameter then
				if r.status != 400 || r.code() != tt.code || body.Error.Param != tt.param || w.one.calls.Load() != calls {
					t.Errorf("%s: %d %s", tt.name, r.status, r.body)
				}
				continue
			}
			sent := w.one.lastBody()
			if r.status != 200 || !strings.Contains(sent, tt.want) || tt.not != "" && strings.Contains(sent, tt.not) || r.header.Get("X-Rephlo-Warnings") != tt.warning {
				t.Errorf("%s: %d %s with warnings %q; the vendor got %s", tt.name, r.status, r.body, r.header.Get("X-Rephlo-Warnings"), sent)
			}
			if !json.Valid([]byte(sent)) || !strings.Contains(sent, `"model":"vm"`) {
				t.Errorf("%s: the vendor got %s", tt.name, sent)
			}
		}
	})
}

// A fallback gets the request as it came, in the form that it takes itself; one
// that cannot take it does not answer.
func TestAFallbackHasItsOwnConstraints(t *testing.T) {
	t.Parallel()
	run(t, quick(), 1000*money.Credit, func(t *testing.T, w *world) {
		w.one.does(says(500, "{}"))
		w.two.does(says(200, okAnswer))
		w.constrain("failing", `{"top_k": {"onUnsupported": "drop"}}`)
		w.constrain("dear", `{"top_k": {"max": 10}, "top_p": {"onUnsupported": "drop"}}`)
		r := w.post(chat("failing", `,"top_k":5,"top_p":0.5`))
		if sent := w.two.lastBody(); r.status != 200 || !strings.Contains(sent, `"top_k":5`) || strings.Contains(sent, "top_p") || !strings.Contains(sent, `"model":"vd"`) {
			t.Errorf("%d; the fallback got %s", r.status, sent)
		}
		if sent := w.one.lastBody(); strings.Contains(sent, "top_k") || !strings.Contains(sent, "top_p") {
			t.Errorf("the first got %s", sent)
		}
		calls := w.two.calls.Load()
		if r := w.post(chat("failing", `,"top_k":50`)); r.status != 502 || w.two.calls.Load() != calls {
			t.Errorf("%d %s", r.status, r.body)
		}
	})
}

func TestALegacyModelSaysThatItWillGo(t *testing.T) {
	t.Parallel()
	run(t, quick(), 100*money.Credit, func(t *testing.T, w *world) {
		w.one.does(says(200, okAnswer))
		sunset := time.Now().Add(240 * time.Hour).UTC()
		w.change("legacy", func() error {
			_, err := w.models.Move(t.Context(), "single", catalog.MarkLegacy, catalog.Farewell{SunsetAt: sunset, Replacement: "m"}, byTest)
			return err
		}, func() bool { return w.model("single").State == catalog.StateLegacy })
		r := w.post(chat("single", ""))
		if r.status != 200 || !strings.HasPrefix(r.header.Get("Deprecation"), "@") || r.header.Get("Sunset") != sunset.Format(http.TimeFormat) {
			t.Errorf("%d %v", r.status, r.header)
		}
	})
}

package app

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/credit"
	"github.com/rephlo/rephlo/internal/money"
)

// A rule of prices is what the next call is charged by, and what the list and
// the estimate say; a large one when a second person has agreed.
func TestRulesOfPricesAreCharged(t *testing.T) {
	t.Parallel()
	f := newStaff(t)
	root, admin, ada := f.users[access.RoleSuperAdmin].ID, f.users[access.RoleAdmin].ID, f.users[""].ID
	must := func(want int, by, method, path, body string) map[string]any {
		t.Helper()
		status, text := f.send(f.token(by, "admin models.read llm.inference", 0), method, path, body)
		out := map[string]any{}
		if err := json.Unmarshal([]byte(text), &out); err != nil || status != want {
			t.Fatalf("%s %s: %d %s, want %d", method, path, status, text, want)
		}
		return out
	}
	if _, err := f.domains.Credits.Grant(t.Context(), credit.NewGrant{User: ada, Source: credit.Pack, Ref: "test", Amount: 1000 * money.Credit}); err != nil {
		t.Fatal(err)
	}
	charged := func() float64 {
		t.Helper()
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/chat/completions",
			strings.NewReader(fmt.Sprintf(`{"model":"test-echo","messages":[{"role":"user","content":%q}]}`, strings.Repeat("word ", 20_000))))
		r.Host = strings.TrimPrefix(f.core.Config.APIURL, "http://")
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Bearer "+f.token(ada, "llm.inference", 0))
		rec := httptest.NewRecorder()
		f.mux.ServeHTTP(rec, r)
		var n float64
		if _, err := fmt.Sscan(rec.Header().Get("X-Rephlo-Credits-Charged"), &n); err != nil || rec.Code != 200 {
			t.Fatalf("%d %.300s, %v", rec.Code, rec.Body, err)
		}
		return n
	}
	shown := func() float64 {
		t.Helper()
		return must(200, ada, "GET", "/v1/models/test-echo", "")["pricing"].(map[string]any)["output"].(float64)
	}
	price, list := charged(), shown()

	const path = "/admin/pricing/configs"
	asked := must(202, root, "POST", path, `{"modelId":"test-echo","multiplierBp":45000,"reason":"`+why+`"}`)
	if charged() != price {
		t.Error("it holds before somebody agreed")
	}
	for name, body := range map[string]string{
		"no scope": `{"multiplierBp":16000,"reason":"` + why + `"}`, "an unknown model": `{"modelId":"nothing","multiplierBp":16000,"reason":"` + why + `"}`,
		"an unknown tier": `{"tier":"nothing","multiplierBp":16000,"reason":"` + why + `"}`, "eleven times": `{"tier":"pro","multiplierBp":110000,"reason":"` + why + `"}`,
	} {
		if status, text := f.send(f.token(root, "admin", 0), "POST", path, body); status != 422 {
			t.Errorf("%s: %d %s", name, status, text)
		}
	}
	done := must(200, admin, "POST", "/admin/approvals/"+asked["approvalId"].(string)+"/approve", `{"note":"`+why+`"}`)
	id := done["result"].(map[string]any)["id"].(string)
	if got := charged(); got < 2.99*price || got > 3.01*price {
		t.Errorf("charged %v after %v, want three times as much", got, price)
	}
	if got := shown(); got != 3*list {
		t.Errorf("the list says %v after %v", got, list)
	}
	if got := must(200, root, "GET", "/admin/pricing/effective?model=test-echo&tier=pro", ""); got["rule"] != "model" || got["ruleId"] != id || got["multiplierBp"] != 45000.0 {
		t.Errorf("effective: %v", got)
	}
	if got := must(200, root, "GET", path+"?model_id=test-echo&active=true", "")["data"].([]any); len(got) != 1 || got[0].(map[string]any)["createdBy"] != root {
		t.Errorf("the list of rules: %v", got)
	}
	ending := must(202, root, "POST", path+"/"+id+"/end", `{"reason":"`+why+`"}`)
	must(200, admin, "POST", "/admin/approvals/"+ending["approvalId"].(string)+"/approve", `{"note":"`+why+`"}`)
	if got := charged(); got != price {
		t.Errorf("charged %v after the end, want %v", got, price)
	}
	small := must(201, root, "POST", path, `{"tier":"pro","multiplierBp":14000,"reason":"`+why+`"}`)["rule"].(map[string]any)
	bound := must(200, root, "PATCH", path+"/"+small["id"].(string), `{"effectiveUntil":"2199-01-01T00:00:00Z","reason":"`+why+`"}`)["rule"].(map[string]any)
	if bound["effectiveUntil"] != "2199-01-01T00:00:00Z" {
		t.Errorf("bounded: %v", bound)
	}
	if got := charged(); got != price {
		t.Errorf("charged %v by a rule for another tier, want %v", got, price)
	}
}

package account_test

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/account"
	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
)

func TestPreferencesKeepWhatIsSentAndClearWhatIsNull(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		var log bytes.Buffer
		w := newWorld(t, db)
		u, err := w.CreateAdmin(t.Context(), "ada@example.com", good)
		if err != nil {
			t.Fatal(err)
		}
		m := api(w, &log)
		account.PreferenceAPI{
			Accounts: w.Service,
			Model: func(_, id string) (account.Model, error) {
				if id == "dear" {
					return account.Model{}, fault.New(fault.Forbidden, "model_access_restricted", "No.")
				}
				return account.Model{ID: strings.TrimSuffix(id, "-latest"), Name: "A model"}, nil
			},
			Plan: func(context.Context, string) (*account.Plan, error) { return &account.Plan{Tier: "free"}, nil },
		}.Mount(m)
		get := func(path string) map[string]any {
			t.Helper()
			rec := send(m, "GET", path, "", "Actor", u.ID)
			var v map[string]any
			if err := json.Unmarshal(rec.Body.Bytes(), &v); err != nil || rec.Code != 200 {
				t.Fatalf("%s: %d %s", path, rec.Code, rec.Body)
			}
			return v
		}
		const path = "/v1/users/me/preferences"
		if v := get(path); v["enableStreaming"] != true || v["emailNotifications"] != true || v["usageAlerts"] != true || v["maxTokens"] != nil || v["preferencesMetadata"] != nil {
			t.Errorf("who never chose has %v", v)
		}
		for _, tt := range []struct {
			body string
			code int
			want string
		}{
			{`{"maxTokens":1000,"temperature":0.7,"locale":"de-CH","timezone":"Europe/Zurich","preferencesMetadata":{"theme":"dark"}}`, 200, `"temperature":0.7`},
			{`{"emailNotifications":false,"defaultModelId":"one-latest"}`, 200, `"defaultModelId":"one"`},
			{`{"usageAlerts":false}`, 200, `"emailNotifications":false`},
			{`{"maxTokens":null,"emailNotifications":null}`, 200, `"maxTokens":null`},
			{`{"temperature":0}`, 200, `"temperature":0`},
			{`{"defaultModelId":"dear"}`, 403, `model_access_restricted`},
			{`{"maxTokens":0}`, 422, `maxTokens`},
			{`{"maxTokens":200001}`, 422, `maxTokens`},
			{`{"maxTokens":"many"}`, 422, `maxTokens`},
			{`{"temperature":2.1}`, 422, `temperature`},
			{`{"temperature":-0.5}`, 422, `temperature`},
			{`{"timezone":"Mars/Olympus"}`, 422, `timezone`},
			{`{"timezone":"Local"}`, 422, `timezone`},
			{`{"locale":"d_e"}`, 422, `locale`},
			{`{"preferencesMetadata":[1]}`, 422, `preferencesMetadata`},
			{`{"preferencesMetadata":{"x":"` + strings.Repeat("a", 8<<10) + `"}}`, 422, `preferencesMetadata`},
			{`{"other":1}`, 422, `unknown_field`},
		} {
			rec := send(m, "PATCH", path, tt.body, "Actor", u.ID)
			if rec.Code != tt.code || !strings.Contains(rec.Body.String(), tt.want) {
				t.Errorf("%.60s: %d %s, want %d with %s", tt.body, rec.Code, rec.Body, tt.code, tt.want)
			}
		}
		v := get(path)
		if v["locale"] != "de-CH" || v["timezone"] != "Europe/Zurich" || v["temperature"] != 0.0 || v["usageAlerts"] != false || v["emailNotifications"] != true || v["defaultModelId"] != "one" {
			t.Errorf("in the end: %v", v)
		}
		if p := get("/api/user/profile"); p["userId"] != u.ID || p["subscription"].(map[string]any)["tier"] != "free" || p["preferences"].(map[string]any)["defaultModel"] != "one" {
			t.Errorf("the profile is %v", p)
		}
		if rec := send(m, "POST", path+"/model", `{"modelId":"two"}`, "Actor", u.ID); rec.Code != 200 || !strings.Contains(rec.Body.String(), `"id":"two"`) {
			t.Errorf("choose a model: %d %s", rec.Code, rec.Body)
		}
		if v := get(path + "/model"); v["defaultModelId"] != "two" || v["updatedAt"] != w.clock().Format(time.RFC3339) {
			t.Errorf("the model is %v", v)
		}
		if rec := send(m, "PATCH", path, `{"usageAlerts":true}`, "Actor", u.ID, "Key", "key_1"); rec.Code != 403 {
			t.Errorf("an API key changed preferences: %d", rec.Code)
		}
	})
}

// Mails that may be switched off are not written when they are.
func TestANewDeviceIsMailedOnlyToWhoWantsIt(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := newWorld(t, db)
		u, err := w.CreateAdmin(t.Context(), "ada@example.com", good)
		if err != nil {
			t.Fatal(err)
		}
		before := len(w.letters(t, u.Email))
		for i, wanted := range []bool{true, false, true} {
			if _, err := w.Prefer(t.Context(), u.ID, func(p *account.Preferences) error { p.Mails = wanted; return nil }); err != nil {
				t.Fatal(err)
			}
			if err := w.TellNewDevice(t.Context(), u, account.Device{Session: "s", Name: "Firefox", Address: "192.0.2.1", At: w.clock()}); err != nil {
				t.Fatal(err)
			}
			if got, want := len(w.letters(t, u.Email))-before, []int{1, 1, 2}[i]; got != want {
				t.Errorf("after %d sign-ins there are %d mails, want %d", i+1, got, want)
			}
		}
	})
}

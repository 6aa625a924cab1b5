package app

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/catalog"
	"github.com/rephlo/rephlo/internal/egress"
	"github.com/rephlo/rephlo/internal/llm"
	"github.com/rephlo/rephlo/internal/llm/vendors/compat"
	"github.com/rephlo/rephlo/internal/secret"
)

// A key is tried with the list of models and with a call of one token; what is
// reported has nothing of the key.
func TestAKeyIsTriedForOneToken(t *testing.T) {
	t.Parallel()
	const planted = "sk-planted-77aa31"
	var asked []string
	vendor := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		asked = append(asked, r.Method+" "+r.URL.Path+" "+string(body))
		w.Header().Set("Content-Type", "application/json")
		switch r.Header.Get("Authorization") {
		case "Bearer " + planted:
			_, _ = io.WriteString(w, `{"object":"list","data":[],"choices":[]}`)
		default:
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = io.WriteString(w, `{"error":{"message":"Incorrect API key provided: `+r.Header.Get("Authorization")+`"}}`)
		}
	}))
	t.Cleanup(vendor.Close)
	client := egress.NewClient(egress.Options{})
	t.Cleanup(client.Close)
	p := prober{map[string]llm.Vendor{"compat": compat.New(client, time.Now)}, time.Now}
	at := &catalog.Provider{Vendor: "compat", BaseURL: vendor.URL + "/v1", AllowPrivate: true, Key: secret.New(planted)}

	if got := p.Probe(t.Context(), at, "vm"); !got.Models.OK || !got.Call.OK || got.Call.Status != 200 {
		t.Errorf("a good key: %+v", got)
	}
	if len(asked) != 2 || asked[0] != "GET /v1/models " || !strings.Contains(asked[1], `"max_tokens":1`) {
		t.Errorf("asked %q", asked)
	}
	at.Key = secret.New("sk-other-key-0001")
	got := p.Probe(t.Context(), at, "vm")
	if got.Models.OK || got.Call.OK || got.Call.Status != 401 || got.Call.Code != "provider_auth_failed" {
		t.Errorf("a wrong key: %+v", got)
	}
	if text, err := json.Marshal(got); err != nil || strings.Contains(string(text), "sk-other") {
		t.Errorf("the report has the key: %s, %v", text, err)
	}
	if got := p.Probe(t.Context(), at, ""); !got.Call.Skipped {
		t.Errorf("without a model: %+v", got)
	}
	at.Vendor = "unheard of"
	if got := p.Probe(t.Context(), at, "vm"); !got.Models.Skipped || !got.Call.Skipped {
		t.Errorf("a vendor that we do not speak: %+v", got)
	}
}

package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// Vendor is a model provider that speaks chat completions over HTTP. What it
// does is chosen by the model that it is asked for:
//
//	unit      writes as many words as the request allows, and counts them so
//	slow      a word every 20 ms, 100 of them
//	garbage   answers HTML with status 200
//	cut       breaks the connection after five words
//	down      answers 503
//	busy      answers 429
//	key       refuses our key, telling it
//	wait      sends nothing until the test ends
type Vendor struct {
	Hits   atomic.Int64
	server *httptest.Server
	over   chan struct{}
}

// VendorKey is our key at the vendor; it must never be seen.
const VendorKey = "sk-planted-0123456789abcdef"

// unitDollars is what a million words of the model "unit" cost the platform, so
// that one costs a user UnitPrice.
const unitDollars = "10000"

// UnitPrice is what a word of the model "unit" costs: 1.5 credits.
const UnitPrice Micro = 1_500_000

// NewVendor starts a vendor.
func NewVendor(t testing.TB) *Vendor {
	t.Helper()
	v := &Vendor{over: make(chan struct{})}
	v.server = httptest.NewServer(http.HandlerFunc(v.serve))
	t.Cleanup(func() {
		close(v.over)
		v.server.CloseClientConnections()
		v.server.Close()
	})
	return v
}

// Providers is the providers file that names the vendor, and one that nobody
// answers for.
func (v *Vendor) Providers() string {
	var models []string
	for _, m := range []string{"unit", "slow", "garbage", "cut", "down", "busy", "key", "wait"} {
		input, output := "1", "2"
		if m == "unit" {
			input, output = "0", unitDollars
		}
		models = append(models, fmt.Sprintf(`{"id":%q,"context_length":128000,"max_output_tokens":16384,"input_usd_per_million":%q,"output_usd_per_million":%q}`, m, input, output))
	}
	return fmt.Sprintf(`[
		{"id":"fake","name":"Fake","base_url":"%s/v1","api_key_env":"FAKE_VENDOR_KEY","allow_private":true,"models":[%s]},
		{"id":"gone","name":"Gone","base_url":"http://127.0.0.1:1/v1","allow_private":true,"models":[
			{"id":"gone","context_length":128000,"max_output_tokens":16384,"input_usd_per_million":"1","output_usd_per_million":"2"}]}]`,
		v.server.URL, strings.Join(models, ","))
}

// Env is what the server needs to know the vendor's key.
func (v *Vendor) Env() []string { return []string{"FAKE_VENDOR_KEY=" + VendorKey} }

type vendorRequest struct {
	Model               string
	Stream              bool
	MaxTokens           int `json:"max_tokens"`
	MaxCompletionTokens int `json:"max_completion_tokens"`
	StreamOptions       struct {
		IncludeUsage bool `json:"include_usage"`
	} `json:"stream_options"`
}

func (v *Vendor) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	v.Hits.Add(1)
	var in vendorRequest
	if err := json.Unmarshal(body, &in); err != nil || r.Header.Get("Authorization") != "Bearer "+VendorKey {
		http.Error(w, `{"error":{"message":"bad request or key"}}`, http.StatusBadRequest)
		return
	}
	refuse := func(status int, message string) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"error":{"message":%q,"type":"vendor","code":null}}`, message)
	}
	switch in.Model {
	case "garbage":
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, "<html><body>It works!</body></html>")
	case "down":
		refuse(http.StatusServiceUnavailable, "vendor is down for account org-secret")
	case "busy":
		w.Header().Set("Retry-After", "1")
		refuse(http.StatusTooManyRequests, "vendor limit of account org-secret")
	case "key":
		refuse(http.StatusUnauthorized, "Incorrect API key provided: "+VendorKey)
	case "wait":
		select {
		case <-r.Context().Done():
		case <-v.over:
		}
	case "slow":
		v.answer(w, r, in, 100, 20*time.Millisecond, 0)
	case "cut":
		v.answer(w, r, in, 100, 0, 5)
	default:
		v.answer(w, r, in, max(in.MaxTokens, in.MaxCompletionTokens), 0, 0)
	}
}

// answer writes n words, one every pace; after cut of them it breaks off.
func (v *Vendor) answer(w http.ResponseWriter, r *http.Request, in vendorRequest, n int, pace time.Duration, cut int) {
	usage := fmt.Sprintf(`{"prompt_tokens":10,"completion_tokens":%d,"total_tokens":%d}`, n, n+10)
	if !in.Stream {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"id":"chatcmpl-1","object":"chat.completion","created":1774000000,"model":%q,"choices":[{"index":0,"message":{"role":"assistant","content":%q},"finish_reason":"stop"}],"usage":%s}`,
			in.Model, strings.Repeat("word ", n), usage)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	head := fmt.Sprintf(`data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1774000000,"model":%q,`, in.Model)
	flush := http.NewResponseController(w).Flush
	for i := range n {
		if cut > 0 && i == cut {
			panic(http.ErrAbortHandler)
		}
		fmt.Fprint(w, head, `"choices":[{"index":0,"delta":{"content":"word "},"finish_reason":null}]}`, "\n\n")
		if flush() != nil || r.Context().Err() != nil {
			return
		}
		if pace > 0 {
			time.Sleep(pace)
		}
	}
	fmt.Fprint(w, head, `"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}`, "\n\n")
	if in.StreamOptions.IncludeUsage {
		fmt.Fprint(w, head, `"choices":[],"usage":`, usage, `}`, "\n\n")
	}
	fmt.Fprint(w, "data: [DONE]\n\n")
}

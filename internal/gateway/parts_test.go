package gateway_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/gateway"
	"github.com/rephlo/rephlo/internal/money"
)

// Whatever a vendor sends, asking for credits only ever adds them: what is left
// without them is what the vendor sent.
func FuzzWithCredits(f *testing.F) {
	for _, s := range []string{
		okAnswer, `{"usage":{}}`, `{ "usage" : { } , "x": 1}`, `{"usage":null}`, `{"choices":[{"usage":{"a":1}}]}`, `{"usage":{"a":1},"usage":{"b":2}}`,
		`[]`, ``, `{"usage":{"a":"}"}}`, `{"us\u0061ge":{"a":1}}`, role + total + done, "data:" + okAnswer + "\r\n\r\n", "data: {\n\n",
	} {
		f.Add([]byte(s))
	}
	const added = `"credits":{"deducted":0.01,"remaining":7}`
	f.Fuzz(func(t *testing.T, data []byte) {
		before := bytes.Count(data, []byte(added))
		for _, out := range [][]byte{
			gateway.WithCredits(bytes.Clone(data), money.Credit/100, 7*money.Credit),
			gateway.WithStreamCredits(bytes.Clone(data), money.Credit/100, 7*money.Credit),
		} {
			if bytes.Equal(out, data) {
				continue
			}
			if bytes.Count(out, []byte(added)) != before+1 {
				t.Fatalf("%q became %q", data, out)
			}
			rest := len(out) - len(data) - len(added)
			if rest != 0 && rest != 1 { // the comma
				t.Fatalf("%q became %q", data, out)
			}
			if json.Valid(data) && !json.Valid(out) {
				t.Fatalf("%q became %q, which is not JSON", data, out)
			}
		}
	})
}

// A panic in a call that has a hold ends the hold.
func TestAPanicSettlesTheHold(t *testing.T) {
	t.Parallel()
	run(t, quick(), plenty, func(t *testing.T, w *world) {
		w.vendor.panics.Store(true)
		for i, rest := range []string{"", `,"stream":true`} {
			if r := w.post(chat("broken", rest)); r.status != 500 || r.code() != "internal_server_error" {
				t.Errorf("%d %s %v", r.status, r.body, r.err)
			}
			if got := w.last(i + 1); got.Charged != 0 || got.Status != "failed" {
				t.Errorf("record %+v", got)
			}
		}
		w.vendor.panics.Store(false)
		w.vendor.body = role + token(words) + "!"
		r := w.post(chat("broken", `,"stream":true`))
		if !strings.Contains(r.body, token(words)) || !strings.Contains(r.body, "internal_server_error") {
			t.Errorf("%d %s %v", r.status, r.body, r.err)
		}
		if got := w.last(3); got.Charged == 0 || got.Ending != "provider_broke" {
			t.Errorf("record %+v", got)
		}
	})
}

// The bodies of all calls together have a bound, and give back what they took.
func TestBodiesShareABudget(t *testing.T) {
	t.Parallel()
	limits := quick()
	limits.Bodies = 10_000
	run(t, limits, plenty, func(t *testing.T, w *world) {
		w.one.does(says(200, okAnswer))
		give, ok := w.calls.TakeBodies(9_950)
		if !ok {
			t.Fatal("the budget is smaller than it should be")
		}
		if r := w.post(chat("m", "")); r.status != 503 || r.code() != "overloaded" || r.header.Get("Retry-After") == "" {
			t.Errorf("%d %s", r.status, r.body)
		}
		time.AfterFunc(50*time.Millisecond, give)
		if r := w.post(chat("m", "")); r.status != 200 {
			t.Errorf("after memory came back: %d %s", r.status, r.body)
		}
		if r := w.post(chat("m", "")[:20]); r.status != 400 {
			t.Errorf("%d %s", r.status, r.body)
		}
		waitFor(t, func() bool { return w.calls.Open() == 0 })
		if n := w.calls.Bodies(); n != 0 {
			t.Errorf("%d bytes are still taken", n)
		}
	})
}

func TestABodyThatIsTooLarge(t *testing.T) {
	t.Parallel()
	limits := quick()
	limits.Body = 1000
	run(t, limits, plenty, func(t *testing.T, w *world) {
		large := chat("m", `,"x":"`+strings.Repeat("a", 1000)+`"`)
		if r := w.post(large); r.status != 413 || r.code() != "request_too_large" {
			t.Errorf("%d %s", r.status, r.body)
		}
		r := w.request(t.Context(), large)
		r.ContentLength = -1
		res, err := w.client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if res.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("without a length: %d", res.StatusCode)
		}
	})
}

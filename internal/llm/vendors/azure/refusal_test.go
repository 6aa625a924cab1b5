package azure

import (
	"testing"

	"github.com/rephlo/rephlo/internal/llm"
)

func FuzzReadRefusal(f *testing.F) {
	f.Add([]byte(`{"error":{"code":"content_filter","innererror":{"code":"ResponsibleAIPolicyViolation"}}}`))
	f.Add([]byte(`{"error":{"code":429,"inner_error":[]}}`))
	f.Add([]byte(`{"statusCode":401,"message":"m"}`))
	f.Add([]byte(`{"error":"contentFilter","innererror":{"code":7}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		r, ok := readRefusal(body)
		if !ok && (r.Code != "" || r.Message != "") {
			t.Errorf("%q: got %+v without ok", body, r)
		}
		r.Status = 400
		if k := r.Failure().Kind; r.As == llm.Policy && k != llm.Policy {
			t.Errorf("%q: got %v", body, k)
		}
	})
}

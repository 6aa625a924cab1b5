package google_test

import (
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/llm"
	"github.com/rephlo/rephlo/internal/llm/wire/google"
)

func TestRefusalKnowsWhatGoogleMeans(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]llm.Kind{
		`{"error":{"code":400,"message":"x","status":"INVALID_ARGUMENT"}}`:                                                        llm.Invalid,
		`{"error":{"code":400,"message":"x","status":"INVALID_ARGUMENT","details":[{"reason":"API_KEY_INVALID"}]}}`:               llm.Auth,
		`{"error":{"code":400,"message":"The input token count (2) exceeds the maximum number of tokens allowed (1)."}}`:          llm.Context,
		`{"error":{"code":429,"message":"x","details":[{"violations":[{"quotaId":"RequestsPerDay"}]}]}}`:                          llm.Quota,
		`[{"error":{"code":429,"message":"x","details":[{"violations":[{"quotaId":"RequestsPerMinute"}]},{"retryDelay":"7s"}]}}]`: llm.Rate,
		`{"error":{"code":503,"message":"x","status":"UNAVAILABLE"}}`:                                                             llm.Server,
		`{"error":{"code":404,"message":"x"}}`:                                                                                    llm.UnknownModel,
	} {
		said, ok := google.ReadError([]byte(body))
		f := said.Refusal().Failure()
		if !ok || f.Kind != want {
			t.Errorf("%s: %v, want %v", body, f.Kind, want)
		}
		if want == llm.Rate && f.RetryAfter != 7*time.Second {
			t.Errorf("%s: again after %v", body, f.RetryAfter)
		}
	}
}

func FuzzReadError(f *testing.F) {
	f.Add([]byte(`{"error":{"code":429,"message":"m","status":"S","details":[{"reason":"R","retryDelay":"1s","violations":[{"quotaId":"q"}]}]}}`))
	f.Add([]byte(`[{"error":{"code":"x"}}]`))
	f.Fuzz(func(t *testing.T, b []byte) {
		said, ok := google.ReadError(b)
		if !ok && said.Message != "" {
			t.Errorf("%q: %+v", b, said)
		}
		if f := said.Refusal().Failure(); f.Kind == 0 || f.Fault == nil {
			t.Errorf("%q is not classified", b)
		}
	})
}

package gateway_test

import (
	"bytes"
	"fmt"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"

	"github.com/rephlo/rephlo/internal/gateway"
	"github.com/rephlo/rephlo/internal/money"
)

// at posts body to a path.
func (w *world) at(path, body string, header ...string) reply {
	w.t.Helper()
	r := w.request(w.t.Context(), body, header...)
	r.URL.Path, r.URL.RawQuery, _ = strings.Cut(path, "?")
	return w.do(r)
}

// form returns a multipart form of these fields and a file of so many bytes.
func form(t *testing.T, file int, fields ...string) (body, contentType string) {
	t.Helper()
	var b bytes.Buffer
	m := multipart.NewWriter(&b)
	for i := 0; i+1 < len(fields); i += 2 {
		if err := m.WriteField(fields[i], fields[i+1]); err != nil {
			t.Fatal(err)
		}
	}
	f, err := m.CreateFormFile("file", "a.mp3")
	if err != nil {
		t.Fatal(err)
	}
	if _, err = f.Write(bytes.Repeat([]byte{7}, file)); err != nil {
		t.Fatal(err)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String(), m.FormDataContentType()
}

// Each operation is answered by the built-in vendor and charged by its own
// price: 1 and 2 dollars for a million tokens of input and output, a tenth of
// a cent for an image, a hundredth of a cent for a second of sound, 15 dollars
// for a million characters, all at one and a half times in cents.
func TestEachOperationIsChargedByItsOwnPrice(t *testing.T) {
	t.Parallel()
	run(t, quick(), plenty, func(t *testing.T, w *world) {
		upload, kind := form(t, 80_000, "model", "test-echo")
		text, textKind := form(t, 80_000, "model", "test-echo", "response_format", "vtt")
		for i, tt := range []struct {
			name, path, body, contentType, want string
			charged                             money.Credits
			source                              string
		}{
			{"responses", "/v1/responses", `{"model":"test-echo","input":"#test tokens=1000"}`, "", `"usage":{"input_tokens":5,"output_tokens":1000`, 310_000, "reported"},
			{"a stream of responses", "/v1/responses", `{"model":"test-echo","stream":true,"input":[{"role":"user","content":"#test tokens=1000"}]}`, "", "event: response.completed\n", 310_000, "reported"},
			{"a stream that ended early", "/v1/responses", `{"model":"test-echo","stream":true,"input":"#test tokens=1000","max_output_tokens":500}`, "", "event: response.incomplete\n", 160_000, "reported"},
			{"responses without usage", "/v1/responses", `{"model":"test-echo","input":"#test tokens=1000 usage=none"}`, "", `"usage":null`, 0, "estimated"},
			{"completions", "/v1/completions", `{"model":"test-echo","prompt":["#test tokens=500","x"]}`, "", `"object":"text_completion"`, 310_000, "reported"},
			{"a stream of completions", "/v1/completions", `{"model":"test-echo","stream":true,"prompt":"#test tokens=1000"}`, "", "data: [DONE]", 310_000, "reported"},
			{"embeddings", "/v1/embeddings", `{"model":"test-echo","input":["` + strings.Repeat("abcd", 1000) + `"]}`, "", `"usage":{"prompt_tokens":1000,"total_tokens":1000}`, 150_000, "reported"},
			{"images", "/v1/images/generations", `{"model":"test-echo","prompt":"a cat","n":3}`, "", `"b64_json"`, 450_000, "reported"},
			{"a stream of an image", "/v1/images/generations", `{"model":"test-echo","prompt":"a cat","stream":true}`, "", "event: image_generation.completed\n", 150_000, "reported"},
			{"transcription", "/v1/audio/transcriptions", upload, kind, `"seconds":10`, 150_000, "reported"},
			{"subtitles", "/v1/audio/transcriptions", text, textKind, "WEBVTT", 150_000, "reported"},
			{"speech", "/v1/audio/speech", `{"model":"test-echo","voice":"alloy","input":"` + strings.Repeat("é", 1000) + `"}`, "", "RIFF", 2_250_000, "reported"},
			{"a stream of speech", "/v1/audio/speech", `{"model":"test-echo","voice":"alloy","stream_format":"sse","input":"` + strings.Repeat("é", 1000) + `"}`, "", "event: speech.audio.done\n", 2_250_000, "reported"},
			{"moderation", "/v1/moderations", `{"model":"test-echo","input":"` + strings.Repeat("abcd", 1000) + `"}`, "", `"flagged":false`, 0, "estimated"},
		} {
			var header []string
			if tt.contentType != "" {
				header = []string{"Content-Type", tt.contentType}
			}
			r := w.at(tt.path, tt.body, header...)
			if r.status != 200 || r.err != nil || !strings.Contains(r.body, tt.want) {
				t.Fatalf("%s: %d %v %s", tt.name, r.status, r.err, r.body)
			}
			got := w.last(i + 1)
			if tt.charged == 0 { // counted by us
				tt.charged = got.Charged
			}
			if got.Charged != tt.charged || got.Charged == 0 || got.Source != tt.source || got.Status != "success" {
				t.Errorf("%s: %+v, want %s", tt.name, got, tt.charged)
			}
			named := r.header.Get("X-Rephlo-Credits-Charged") + r.trailer.Get("X-Rephlo-Credits-Charged")
			if named != got.Charged.String() {
				t.Errorf("%s: the answer names %q, charged %s", tt.name, named, got.Charged)
			}
		}
	})
}

// What names an object in the operator's account, and what would cost money
// without a price, is refused before any vendor is called.
func TestOperationsRefuseWhatTheyCannotDo(t *testing.T) {
	t.Parallel()
	run(t, quick(), plenty, func(t *testing.T, w *world) {
		noModel, noModelKind := form(t, 10, "language", "en")
		twice, twiceKind := form(t, 10, "model", "test-echo", "model", "m")
		for _, tt := range []struct{ path, body, kind, code, param string }{
			{"/v1/responses", `{"model":"test-echo","input":"x","previous_response_id":"resp_1"}`, "", "unsupported_parameter", "previous_response_id"},
			{"/v1/responses", `{"model":"test-echo","input":"x","conversation":{"id":"conv_1"}}`, "", "unsupported_parameter", "conversation"},
			{"/v1/responses", `{"model":"test-echo","input":"x","prompt":{"id":"pmpt_1"}}`, "", "unsupported_parameter", "prompt"},
			{"/v1/responses", `{"model":"test-echo","input":"x","background":true}`, "", "unsupported_parameter", "background"},
			{"/v1/responses", `{"model":"test-echo","input":[{"type":"item_reference","id":"msg_1"}]}`, "", "unsupported_parameter", "input"},
			{"/v1/responses", `{"model":"test-echo","input":[{"id":"msg_1"}]}`, "", "unsupported_parameter", "input"},
			{"/v1/responses", `{"model":"test-echo","input":[{"role":"user","content":[{"type":"input_file","file\u005fid":"file-1"}]}]}`, "", "unsupported_parameter", "file_id"},
			{"/v1/chat/completions", `{"model":"test-echo","messages":[{"role":"user","content":[{"type":"file","file":{"file_id":"file-1"}}]}]}`, "", "unsupported_parameter", "file_id"},
			{"/v1/responses", `{"model":"test-echo","input":"x","tools":[{"type":"web_search"}]}`, "", "unsupported_parameter", "tools"},
			{"/v1/responses", `{"model":"test-echo","input":"x","tools":[{"name":"f"}]}`, "", "unsupported_parameter", "tools"},
			{"/v1/responses", `{"model":"test-echo","input":5}`, "", "invalid_request", "input"},
			{"/v1/responses", `{"model":"test-echo"}`, "", "invalid_request", "input"},
			{"/v1/responses", `{"model":"test-echo","input":"x","max_output_tokens":20000}`, "", "parameter_out_of_range", "max_output_tokens"},
			{"/v1/images/generations", `{"model":"m","prompt":"x"}`, "", "operation_unsupported", "model"},
			{"/v1/images/generations", `{"model":"test-echo","prompt":"x","stream":true,"n":2}`, "", "unsupported_parameter", "n"},
			{"/v1/images/generations", `{"model":"test-echo","prompt":"x","n":11}`, "", "parameter_out_of_range", "n"},
			{"/v1/audio/speech", `{"model":"m","input":"x","voice":"alloy"}`, "", "operation_unsupported", "model"},
			{"/v1/audio/speech", `{"model":"test-echo","voice":"alloy","input":"` + strings.Repeat("x", 4097) + `"}`, "", "parameter_out_of_range", "input"},
			{"/v1/audio/transcriptions", noModel, noModelKind, "invalid_request", "model"},
			{"/v1/audio/transcriptions", twice, twiceKind, "invalid_request", "model"},
			{"/v1/audio/transcriptions", "--x\r\n", "multipart/form-data; boundary=x", "invalid_request", ""},
		} {
			var header []string
			if tt.kind != "" {
				header = []string{"Content-Type", tt.kind}
			}
			r := w.at(tt.path, tt.body, header...)
			if r.status != 400 || r.code() != tt.code || !strings.Contains(r.body, fmt.Sprintf(`"param":%q`, tt.param)) && tt.param != "" {
				t.Errorf("%s %s: %d %s", tt.path, tt.body, r.status, r.body)
			}
		}
		for _, path := range []string{"/v1/embeddings", "/v1/moderations"} { // the service has not said that it takes them
			if r := w.at(path, `{"model":"m","input":"x"}`); r.status != 400 || r.code() != "operation_unsupported" {
				t.Errorf("%s: %d %s", path, r.status, r.body)
			}
		}
		if r := w.at("/v1/audio/transcriptions", `{}`); r.status != 415 {
			t.Errorf("%d %s", r.status, r.body)
		}
		if w.one.calls.Load() != 0 || w.two.calls.Load() != 0 {
			t.Error("a vendor was called")
		}
	})
}

// Each path to a vendor asks for credits first.
func TestEveryOperationNeedsCredits(t *testing.T) {
	t.Parallel()
	run(t, quick(), 0, func(t *testing.T, w *world) {
		upload, kind := form(t, 1000, "model", "test-echo")
		for _, path := range gateway.Paths() {
			if strings.Contains(path, "{call}") {
				path = "/v1beta/models/test-echo:generateContent"
			}
			body, contentType := `{"model":"test-echo","messages":[],"input":"x"}`, "application/json"
			if strings.Contains(path, "completions") || strings.Contains(path, "images") {
				body = `{"model":"test-echo","messages":[],"prompt":"x"}`
			}
			if strings.Contains(path, "generate") && strings.Contains(path, "models") {
				body = `{"contents":[{"parts":[{"text":"x"}]}]}`
			}
			if strings.HasSuffix(path, "transcriptions") {
				body, contentType = upload, kind
			}
			if r := w.at(path, body, "Content-Type", contentType); r.status != http.StatusPaymentRequired {
				t.Errorf("%s: %d %s", path, r.status, r.body)
			}
		}
	})
}

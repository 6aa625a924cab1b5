package capture

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestMediaAreReplacedByTheirSizeAndHash(t *testing.T) {
	t.Parallel()
	image := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("image", 1000)))
	mark := func(kind, value string) string {
		sum := sha256.Sum256([]byte(value))
		return fmt.Sprintf("[%s, %d bytes, sha256 %s]", kind, len(value), hex.EncodeToString(sum[:]))
	}
	url := "data:image/png;base64," + image
	escaped := strings.ReplaceAll(image, "/", `\/`)
	long := strings.Repeat("a word ", 1000)
	for _, tt := range []struct{ name, kind, body, want string }{
		{"a data URL", "application/json", `{"a":1,"image_url":{"url":"` + url + `"},"b":"c"}`, `{"a":1,"image_url":{"url":"` + mark("image/png", url) + `"},"b":"c"}`},
		{"base64", "application/json; charset=utf-8", `{"data": "` + image + `"}`, `{"data": "` + mark("media", image) + `"}`},
		{"escaped base64", "application/json", `{"data":"` + escaped + `"}`, `{"data":"` + mark("media", escaped) + `"}`},
		{"an event", "text/event-stream", "data: {\"b64\":\"" + image + "\"}\n\ndata: [DONE]\n\n", "data: {\"b64\":\"" + mark("media", image) + "\"}\n\ndata: [DONE]\n\n"},
		{"media that is cut off", "application/json", `{"data":"` + image, `{"data":"` + mark("media", image)},
		{"a long text", "application/json", `{"text":"` + long + `"}`, `{"text":"` + long + `"}`},
		{"a short one", "application/json", `{"text":"say \"hi\" \\","n":1}`, `{"text":"say \"hi\" \\","n":1}`},
		{"sound", "audio/mpeg", "\x00\xff", mark("audio/mpeg", "\x00\xff")},
		{"a form", "multipart/form-data; boundary=x", "--x", mark("multipart/form-data; boundary=x", "--x")},
		{"nothing", "", "", ""},
		{"a type that is none", "audio/\"", "a", mark("media", "a")},
	} {
		got, cut := text(tt.kind, []byte(tt.body), maxText)
		if got != tt.want || cut {
			t.Errorf("%s: %.300s (%v), want %.300s", tt.name, got, cut, tt.want)
		}
	}
}

func TestATextIsCut(t *testing.T) {
	t.Parallel()
	for _, body := range []string{strings.Repeat("x", 99) + "ü" + strings.Repeat("y", 50), `"` + strings.Repeat("x y", 80), strings.Repeat(`""`, 80)} {
		got, cut := text("text/plain", []byte(body), 100)
		if !cut || len(got) < 100 || len(got) > 103 || !utf8.ValidString(got) || !strings.HasPrefix(body, got[:99]) {
			t.Errorf("%q, %v", got, cut)
		}
	}
	image := strings.Repeat("A", 5000)
	if got, cut := text("application/json", []byte(`{"a":"`+image+`","b":"`+image+`"}`), 1000); cut || !strings.HasSuffix(got, `"}`) {
		t.Errorf("what is short without its media was cut: %s", got)
	}
}

func FuzzText(f *testing.F) {
	f.Add("application/json", []byte(`{"a":"`+strings.Repeat("QUJD", 400)+`"}`))
	f.Add("text/event-stream", []byte("data: {\"a\":\"\\\\\\\"\"}\n\n"))
	f.Add("", []byte("\x00\"\\"))
	f.Fuzz(func(t *testing.T, kind string, body []byte) {
		const most = 2000
		got, _ := text(kind, body, most)
		if !utf8.ValidString(got) || strings.ContainsRune(got, 0) || len(got) > 3*most+300 {
			t.Errorf("%q", got)
		}
		if json.Valid(body) && len(body) < most && readable(kind) && !json.Valid([]byte(got)) {
			t.Errorf("%q became %q", body, got)
		}
	})
}

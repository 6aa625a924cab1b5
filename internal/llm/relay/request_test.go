package relay_test

import (
	"bytes"
	"io"
	"mime/multipart"
	"strings"
	"testing"

	"github.com/rephlo/rephlo/internal/llm"
	"github.com/rephlo/rephlo/internal/llm/relay"
)

func TestResponsesAreEditedInPlace(t *testing.T) {
	t.Parallel()
	edit := relay.Edit{Model: "v", MaxTokensKey: "max_output_tokens", MaxTokens: 9, Forget: true}
	for body, want := range map[string]string{
		`{"model":"m", "input":"x"}`:                                              `{"max_output_tokens":9,"store":false,"model":"v", "input":"x"}`,
		`{"store": true,"model":"m","input":[],"max_output_tokens":3}`:            `{"store": false,"model":"v","input":[],"max_output_tokens":3}`,
		`{"store":null,"model":"m","input":[],"max_output_tokens":null,"z":1}`:    `{"store":false,"model":"v","input":[],"max_output_tokens":9,"z":1}`,
		`{"store":false,"max_output_tokens":5,"model":"v","input":""}`:            `{"store":false,"max_output_tokens":5,"model":"v","input":""}`,
		`{"max_output_tokens":5,"model":"v","input":"","tools":[],"store":false}`: `{"max_output_tokens":5,"model":"v","input":"","store":false}`,
	} {
		s, err := relay.ScanRequest(llm.OpResponses, []byte(body))
		if err != nil {
			t.Fatalf("%s: %v", body, err)
		}
		if got := string(bytes.Join(s.Apply([]byte(body), edit), nil)); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

// Whatever is accepted is JSON that a strict parser takes, before and after the
// edits.
func FuzzScanRequest(f *testing.F) {
	for _, s := range []string{
		`{"model":"m","input":"x","store":true,"tools":[{"type":"function","name":"f"}]}`,
		`{"model":"m","input":[{"role":"user","content":[{"type":"input_image","image_url":"data:,"}]},{"type":"item_reference","id":"x"}]}`,
		`{"model":"m","input":[1,2,3],"encoding_format":"base64"}`, `{"model":"m","prompt":"x","n":2,"size":"1024x1024","quality":"low"}`,
		`{"model":"m","input":"é","voice":{"id":"v"},"stream_format":"sse"}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, op := range []llm.Op{llm.OpResponses, llm.OpCompletions, llm.OpEmbeddings, llm.OpImages, llm.OpSpeech, llm.OpModerations} {
			s, err := relay.ScanRequest(op, body)
			if err != nil {
				continue
			}
			if !strict(body) {
				t.Fatalf("%s accepted %q", op, body)
			}
			edit := relay.Edit{Model: "v", Forget: op == llm.OpResponses}
			out := bytes.Join(s.Apply(body, edit), nil)
			again, err := relay.ScanRequest(op, out)
			if err != nil || again.Model != "v" || again.Stream != s.Stream || again.N != s.N {
				t.Fatalf("%q became %q: %v", body, out, err)
			}
			if op == llm.OpResponses && string(decode(t, out)["store"]) != "false" {
				t.Fatalf("%q is stored", out)
			}
		}
	})
}

const boundary = "multipart/form-data; boundary=b"

func TestAnUploadIsReadInPlace(t *testing.T) {
	t.Parallel()
	body := "preamble\r\n--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nm\r\n--b \r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\nContent-Type: audio/wav\r\n\r\nRI\r\n--FF\r\n--b\r\nContent-Disposition: form-data; name=\"response_format\"\r\n\r\n\r\n--b--\r\n"
	u, err := relay.ScanUpload(boundary, []byte(body))
	if err != nil || u.Model != "m" || string(u.File) != "RI\r\n--FF" || u.Format != "" {
		t.Fatalf("%+v, %v", u, err)
	}
	out := string(bytes.Join(u.ApplyUpload([]byte(body), "whisper-1"), nil))
	if want := strings.Replace(body, "\r\n\r\nm\r\n", "\r\n\r\nwhisper-1\r\n", 1); out != want {
		t.Errorf("got %q", out)
	}
}

// What is accepted is what the standard library reads, with the same fields.
func FuzzScanUpload(f *testing.F) {
	f.Add([]byte("--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nm\r\n--b\r\nContent-Disposition: form-data; name=file; filename=x\r\n\r\nabc\r\n--b--"))
	f.Add([]byte("--b--"))
	f.Add([]byte("--b\r\n\r\n"))
	f.Fuzz(func(t *testing.T, body []byte) {
		u, err := relay.ScanUpload(boundary, body)
		if err != nil {
			return
		}
		form := multipart.NewReader(bytes.NewReader(body), "b")
		got := map[string]string{}
		for {
			p, err := form.NextRawPart()
			if err != nil {
				break
			}
			b, err := io.ReadAll(p)
			if err != nil {
				break
			}
			got[p.FormName()] = string(b)
		}
		if got["model"] != u.Model || got["file"] != string(u.File) {
			t.Errorf("%q: model %q and file %q, the library reads %q", body, u.Model, u.File, got)
		}
	})
}

func TestTheLengthOfASound(t *testing.T) {
	t.Parallel()
	wav := "RIFF\x00\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00\x40\x1f\x00\x00\x40\x1f\x00\x00\x01\x00\x08\x00data"
	liar := strings.Replace(wav, "\x40\x1f\x00\x00\x01", "\xff\xff\xff\x00\x01", 1)
	for _, tt := range []struct {
		name, file string
		seconds    int64
		exact      bool
	}{
		{"wav of 8,000 bytes a second", wav + strings.Repeat("a", 16_000-len(wav)), 2, true},
		{"wav that states another rate", liar + strings.Repeat("a", 16_000-len(liar)), 2, true},
		{"mp3 of 128 kbit/s", "\xff\xfb\x90\x00" + strings.Repeat("a", 31_996), 2, true},
		{"mp3 of variable rate", "\xff\xfb\x90\x00Xing" + strings.Repeat("a", 31_992), 16, false},
		{"anything", strings.Repeat("a", 4000), 2, false},
		{"nothing", "", 0, false},
	} {
		if got, exact := relay.SoundSeconds([]byte(tt.file)); got != tt.seconds || exact != tt.exact {
			t.Errorf("%s: %d, %v", tt.name, got, exact)
		}
	}
	for text, want := range map[string]int64{
		"WEBVTT\n\n00:00.000 --> 01:02.500\nHi": 63, "1\n00:00:01,000 --> 01:00:00,000 align:start\nHi\n": 3600, "Hi": 0, " --> x": 0, " --> 9e99:1": 0,
	} {
		if got := relay.SubtitleSeconds([]byte(text)); got != want {
			t.Errorf("%q: %d, want %d", text, got, want)
		}
	}
}

func FuzzSound(f *testing.F) {
	f.Add([]byte("RIFF\x00\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00"), []byte("00:01 --> 00:02"))
	f.Add([]byte("ID3\x00\x00\x00\x7f\x7f\x7f\x7f\xff\xfb\x90\x00"), []byte(" --> -1:2"))
	f.Fuzz(func(t *testing.T, file, text []byte) {
		if n, _ := relay.SoundSeconds(file); n < 0 || n > int64(len(file))+1 {
			t.Errorf("%d seconds in %d bytes", n, len(file))
		}
		if n := relay.SubtitleSeconds(text); n < 0 {
			t.Errorf("%d seconds", n)
		}
	})
}

package test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"math"
	"mime"
	"mime/multipart"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/rephlo/rephlo/internal/llm"
)

// texts returns the texts of an input that is one or a list; of tokens it has
// their numbers.
func texts(v jsontext.Value) []string {
	var one string
	if json.Unmarshal(v, &one, jsontext.AllowInvalidUTF8(true)) == nil {
		return []string{one}
	}
	var list []jsontext.Value
	if json.Unmarshal(v, &list, jsontext.AllowInvalidUTF8(true)) != nil {
		return nil
	}
	out := make([]string, 0, len(list))
	for _, i := range list {
		if i.Kind() == '0' { // the list is one text
			return []string{string(v)}
		}
		if json.Unmarshal(i, &one, jsontext.AllowInvalidUTF8(true)) != nil {
			one = string(i)
		}
		out = append(out, one)
	}
	return out
}

func planCompletion(r request, raw []byte) (*answer, error) {
	var q struct {
		Prompt jsontext.Value `json:"prompt"`
	}
	a, err := start(r, raw, &q)
	if err != nil {
		return nil, err
	}
	prompts := texts(q.Prompt)
	all := strings.Join(prompts, "")
	a.N *= max(1, len(prompts))
	a.whole, a.events = (*answer).completion, (*answer).completionEvents
	a.say(strings.Join(prompts, "\n"), len(all))
	return a, nil
}

func (a *answer) completionHead() []byte {
	return append(quote([]byte(`{"id":"cmpl-`+a.hash[:29]+`","object":"text_completion","created":`+created+`,"model":`), a.Model), `,"choices":[`...)
}

func (a *answer) completion() []byte {
	o := a.completionHead()
	for i := range a.N {
		if i > 0 {
			o = append(o, ',')
		}
		o = append(o, completionChoice(i, a.text, a.finish)...)
	}
	o = append(o, ']')
	if a.script.usage != "none" {
		o = a.usage(append(o, `,"usage":`...))
	}
	return append(o, '}')
}

func completionChoice(i int, text, finish string) string {
	reason := "null"
	if finish != "" {
		reason = quoted(finish)
	}
	return `{"index":` + strconv.Itoa(i) + `,"text":` + quoted(text) + `,"logprobs":null,"finish_reason":` + reason + `}`
}

func (a *answer) completionEvents() [][]byte {
	var out [][]byte
	event := func(choice, usage string) {
		out = append(out, append(append([]byte("data: "), a.completionHead()...), choice+"]"+usage+"}\n\n"...))
	}
	for i := range a.N {
		for _, p := range pieces(a.text, 4) {
			event(completionChoice(i, p, ""), "")
		}
		event(completionChoice(i, "", a.finish), "")
	}
	if a.StreamOpt.IncludeUsage && a.script.usage != "none" {
		event("", `,"usage":`+string(a.usage(nil)))
	}
	return append(out, []byte("data: [DONE]\n\n"))
}

// dimensions of an embedding when the request names none.
const dimensions = 64

func planEmbeddings(r request, raw []byte) (*answer, error) {
	var q struct {
		Input      jsontext.Value `json:"input"`
		Dimensions int            `json:"dimensions"`
		Format     string         `json:"encoding_format"`
	}
	a, err := start(r, raw, &q)
	if err != nil {
		return nil, err
	}
	inputs := texts(q.Input)
	all := strings.Join(inputs, "")
	a.say(all, len(all))
	size := q.Dimensions
	if size <= 0 || size > 4096 {
		size = dimensions
	}
	a.whole = func(a *answer) []byte {
		o := []byte(`{"object":"list","data":[`)
		for i, text := range inputs {
			if i > 0 {
				o = append(o, ',')
			}
			o = append(o, `{"object":"embedding","index":`+strconv.Itoa(i)+`,"embedding":`...)
			o = append(appendVector(o, vector(text, size), q.Format == "base64"), '}')
		}
		o = append(quote(append(o, `],"model":`...), a.Model), '}')
		if a.script.usage == "none" {
			return o
		}
		n := strconv.FormatInt(a.input, 10)
		return append(o[:len(o)-1], `,"usage":{"prompt_tokens":`+n+`,"total_tokens":`+n+`}}`...)
	}
	return a, nil
}

// vector returns a vector of length 1 that depends on the text alone.
func vector(text string, size int) []float32 {
	out := make([]float32, size)
	sum, length := sha256.Sum256([]byte(text)), 0.0
	for i := range out {
		if i > 0 && i%8 == 0 {
			sum = sha256.Sum256(sum[:])
		}
		out[i] = float32(int32(binary.LittleEndian.Uint32(sum[4*(i%8):]))) / (1 << 31) //nolint:gosec // any bits will do
		length += float64(out[i]) * float64(out[i])
	}
	for i := range out {
		out[i] /= float32(math.Sqrt(length))
	}
	return out
}

func appendVector(o []byte, v []float32, encoded bool) []byte {
	if encoded {
		var b []byte
		for _, x := range v {
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
		}
		return quote(o, base64.StdEncoding.EncodeToString(b))
	}
	o = append(o, '[')
	for i, x := range v {
		if i > 0 {
			o = append(o, ',')
		}
		o = strconv.AppendFloat(o, float64(x), 'g', -1, 32)
	}
	return append(o, ']')
}

// pixel is a PNG of one grey pixel.
const pixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGP4DwABAQEAG7buVgAAAABJRU5ErkJggg=="

func planImages(r request, raw []byte) (*answer, error) {
	var q struct {
		Prompt string `json:"prompt"`
		Format string `json:"response_format"`
	}
	a, err := start(r, raw, &q)
	if err != nil {
		return nil, err
	}
	a.say(q.Prompt, len(q.Prompt))
	one := `{"b64_json":"` + pixel + `"}`
	if q.Format == "url" {
		one = `{"url":"data:image/png;base64,` + pixel + `"}`
	}
	a.whole = func(a *answer) []byte {
		return []byte(`{"created":` + created + `,"data":[` + strings.Repeat(one+",", a.N-1) + one + `]}`)
	}
	a.events = func(*answer) [][]byte {
		fields := `"b64_json":"` + pixel + `","created_at":` + created + `,"size":"1x1","quality":"low","background":"opaque","output_format":"png"`
		return typedEvents([]string{`"type":"image_generation.partial_image","partial_image_index":0,` + fields, `"type":"image_generation.completed",` + fields})
	}
	return a, nil
}

func planSpeech(r request, raw []byte) (*answer, error) {
	var q struct {
		Input        string `json:"input"`
		StreamFormat string `json:"stream_format"`
	}
	a, err := start(r, raw, &q)
	if err != nil {
		return nil, err
	}
	a.Stream = q.StreamFormat == "sse"
	a.say(q.Input, len(q.Input))
	a.mediaType = "audio/wav"
	a.whole = func(*answer) []byte { return silence(len(q.Input)) }
	a.events = func(*answer) [][]byte {
		return typedEvents([]string{
			`"type":"speech.audio.delta","audio":"` + base64.StdEncoding.EncodeToString(silence(len(q.Input))) + `"`, `"type":"speech.audio.done"`,
		})
	}
	return a, nil
}

// silence returns a WAV file of so many hundredths of a second.
func silence(hundredths int) []byte {
	size := uint32(80 * min(max(hundredths, 0), 10_000))
	o := binary.LittleEndian.AppendUint32([]byte("RIFF"), 36+size)
	o = append(o, "WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00"...) // PCM, one channel
	o = binary.LittleEndian.AppendUint32(o, 8000)
	o = binary.LittleEndian.AppendUint32(o, 8000)
	o = append(o, "\x01\x00\x08\x00data"...)
	o = binary.LittleEndian.AppendUint32(o, size)
	return append(o, bytes.Repeat([]byte{0x80}, int(size))...)
}

func planTranscript(r request, raw []byte) (*answer, error) {
	_, params, err := mime.ParseMediaType(r.contentType)
	if err != nil {
		return nil, errForm
	}
	fields, form := map[string]string{}, multipart.NewReader(bytes.NewReader(raw), params["boundary"])
	for {
		part, err := form.NextPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, errForm
		}
		b, err := io.ReadAll(part)
		if err != nil {
			return nil, errForm
		}
		fields[part.FormName()] = string(b)
	}
	a, err := start(r, []byte(`{}`), nil)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(raw)
	a.hash = hex.EncodeToString(sum[:])
	a.Model, a.Stream = fields["model"], fields["stream"] == "true"
	a.say(fields["prompt"], len(fields["prompt"]))
	if fields["prompt"] == "" {
		a.text = "A sound of " + strconv.Itoa(len(fields["file"])) + " bytes."
	}
	length := strconv.Itoa((len(fields["file"]) + 7999) / 8000)
	a.whole = func(a *answer) []byte { return transcript(a.text, fields["response_format"], length) }
	switch fields["response_format"] {
	case "text", "srt":
		a.mediaType = "text/plain; charset=utf-8"
	case "vtt":
		a.mediaType = "text/vtt; charset=utf-8"
	}
	a.events = func(a *answer) [][]byte {
		var events []string
		for _, p := range pieces(a.text, 4) {
			events = append(events, `"type":"transcript.text.delta","delta":`+quoted(p))
		}
		return typedEvents(append(events, `"type":"transcript.text.done","text":`+quoted(a.text)+`,"usage":{"type":"duration","seconds":`+length+`}`))
	}
	return a, nil
}

var errForm = llm.Refusal{Status: 400, Message: "The form cannot be read."}.Failure()

func transcript(text, format, length string) []byte {
	switch format {
	case "text":
		return []byte(text + "\n")
	case "srt", "vtt":
		stamp := "00:00:00.000 --> 00:00:" + strings.Repeat("0", max(0, 2-len(length))) + length + ".000"
		if format == "srt" {
			return []byte("1\n" + strings.ReplaceAll(stamp, ".", ",") + "\n" + text + "\n")
		}
		return []byte("WEBVTT\n\n" + stamp + "\n" + text + "\n")
	case "verbose_json":
		return []byte(`{"task":"transcribe","language":"english","duration":` + length + `,"text":` + quoted(text) + `,"segments":[],"usage":{"type":"duration","seconds":` + length + `}}`)
	}
	return []byte(`{"text":` + quoted(text) + `,"usage":{"type":"duration","seconds":` + length + `}}`)
}

func planModeration(r request, raw []byte) (*answer, error) {
	var q struct {
		Input jsontext.Value `json:"input"`
	}
	a, err := start(r, raw, &q)
	if err != nil {
		return nil, err
	}
	inputs := texts(q.Input)
	all := strings.Join(inputs, "")
	a.say(all, len(all))
	a.whole = func(a *answer) []byte {
		const one = `{"flagged":false,"categories":{"violence":false},"category_scores":{"violence":0.0}}`
		return []byte(`{"id":"modr-` + a.hash[:24] + `","model":` + quoted(a.Model) + `,"results":[` + strings.Repeat(one+",", max(0, len(inputs)-1)) + one + `]}`)
	}
	return a, nil
}

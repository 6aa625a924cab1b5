package relay_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"

	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/llm/relay"
)

const simple = `{"model":"gpt-4o","messages":[{"role":"user","content":"Hi"}]}`

// public returns what a Scan says, without its positions.
func public(s relay.Scan) map[string]any {
	return map[string]any{
		"model": s.Model, "stream": s.Stream, "usage": s.IncludeUsage, "n": s.N, "max": s.MaxTokens, "key": s.MaxTokensKey,
		"messages": s.Messages, "tools": s.Tools, "text": s.TextBytes, "images": s.Images, "media": s.Media,
	}
}

func TestScanReadsWhatMatters(t *testing.T) {
	t.Parallel()
	image := "data:image/png;base64," + strings.Repeat("A", 2000)
	for _, tt := range []struct {
		name, body string
		want       map[string]any
	}{
		{"the least", simple, map[string]any{"model": "gpt-4o", "messages": 1}},
		{"a stream with usage", ` { "stream" : true , "model":"m\u0061", "messages":[ ], "stream_options":{"include_usage":true} } `, map[string]any{"model": "ma", "stream": true, "usage": true, "messages": 0}},
		{"nulls are absent", `{"model":"m","messages":[],"stream":null,"n":null,"max_tokens":null,"stream_options":null,"tools":null}`, map[string]any{"max": int64(0), "n": int64(1), "key": ""}},
		{"the newer limit wins its name, the larger its value", `{"model":"m","messages":[],"max_completion_tokens":7,"max_tokens":9}`, map[string]any{"max": int64(9), "key": "max_completion_tokens"}},
		{"choices and tools", `{"model":"m","messages":[],"n":3,"tools":[{"type":"function","function":{"name":"f","name":"g"}},{"type":"custom"}]}`, map[string]any{"n": int64(3), "tools": 2}},
		{"media is not text", `{"model":"m","messages":[{"content":[{"type":"image_url","image_url":{"url":"` + image + `"}},{"type":"input_audio","input_audio":{"data":"` + strings.Repeat("B", 3000) + `"}}]}]}`, map[string]any{"images": 1, "media": 2}},
		{"text that looks like media is text", `{"model":"m","messages":[{"content":"` + image + `"}]}`, map[string]any{"media": 0}},
		{"nothing outside of messages is media", `{"model":"m","messages":[],"tools":[{"data":"` + image + `"}]}`, map[string]any{"media": 0}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, err := relay.ScanChat([]byte(tt.body))
			if err != nil {
				t.Fatal(err)
			}
			got := public(s)
			for k, want := range tt.want {
				if !cmp.Equal(got[k], want) {
					t.Errorf("%s: got %v, want %v", k, got[k], want)
				}
			}
			if want := int64(len(tt.body)) - s.MediaBytes; s.TextBytes != want {
				t.Errorf("text: got %d bytes, want %d", s.TextBytes, want)
			}
		})
	}
}

func TestScanRefuses(t *testing.T) {
	t.Parallel()
	deep := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	for _, tt := range []struct{ name, body, param, code string }{
		{"nothing", ``, "", "invalid_request"},
		{"an array", `[]`, "", "invalid_request"},
		{"trailing data", simple + `{}`, "", "invalid_request"},
		{"a missing brace", simple[:len(simple)-1], "", "invalid_request"},
		{"two models", `{"model":"a","messages":[],"model":"b"}`, "model", "invalid_request"},
		{"two models, one escaped", `{"model":"a","messages":[],"mod\u0065l":"b"}`, "model", "invalid_request"},
		{"two of an unknown field", `{"model":"a","messages":[],"x":1,"x":1}`, "x", "invalid_request"},
		{"no model", `{"messages":[]}`, "model", "invalid_request"},
		{"an empty model", `{"model":"","messages":[]}`, "model", "invalid_request"},
		{"a model that is a number", `{"model":1,"messages":[]}`, "model", "invalid_request"},
		{"another case", `{"Model":"a","messages":[]}`, "model", "invalid_request"},
		{"no messages", `{"model":"a"}`, "messages", "invalid_request"},
		{"messages that are no list", `{"model":"a","messages":{}}`, "messages", "invalid_request"},
		{"stream that is a string", `{"model":"a","messages":[],"stream":"true"}`, "stream", "invalid_request"},
		{"a limit of zero", `{"model":"a","messages":[],"max_tokens":0}`, "max_tokens", "parameter_out_of_range"},
		{"a negative limit", `{"model":"a","messages":[],"max_tokens":-5}`, "max_tokens", "parameter_out_of_range"},
		{"a limit with a fraction", `{"model":"a","messages":[],"max_tokens":1.5}`, "max_tokens", "invalid_request"},
		{"a limit with an exponent", `{"model":"a","messages":[],"max_tokens":1e9}`, "max_tokens", "invalid_request"},
		{"a limit beyond 64 bits", `{"model":"a","messages":[],"max_tokens":99999999999999999999999}`, "max_tokens", "parameter_out_of_range"},
		{"eleven choices", `{"model":"a","messages":[],"n":11}`, "n", "parameter_out_of_range"},
		{"stream_options twice inside", `{"model":"a","messages":[],"stream_options":{"include_usage":true,"include_usag\u0065":false}}`, "stream_options", "invalid_request"},
		{"include_usage that is a number", `{"model":"a","messages":[],"stream_options":{"include_usage":1}}`, "stream_options.include_usage", "invalid_request"},
		{"a tool with two types", `{"model":"a","messages":[],"tools":[{"type":"function","type":"web_search"}]}`, "tools", "invalid_request"},
		{"a tool that is a string", `{"model":"a","messages":[],"tools":["x"]}`, "tools", "invalid_request"},
		{"two formats", `{"model":"a","messages":[],"response_format":{"type":"text","type":"json_object"}}`, "response_format", "invalid_request"},
		{"invalid UTF-8", "{\"model\":\"a\",\"messages\":[\"\xff\"]}", "", "invalid_request"},
		{"a raw control character", "{\"model\":\"a\",\"messages\":[\"\n\"]}", "", "invalid_request"},
		{"65 levels", `{"model":"a","messages":` + deep(64) + `}`, "", "invalid_request"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := relay.ScanChat([]byte(tt.body))
			f, ok := errors.AsType[*fault.Error](err)
			if !ok {
				t.Fatalf("got %v, want a fault", err)
			}
			if f.Param != tt.param || f.Code != tt.code || f.Kind != fault.Invalid {
				t.Errorf("got %s at %q, want %s at %q", f.Code, f.Param, tt.code, tt.param)
			}
		})
	}
	if _, err := relay.ScanChat([]byte(`{"model":"a","messages":` + deep(63) + `}`)); err != nil {
		t.Errorf("64 levels: %v", err)
	}
}

// A body with very many fields is still read in linear time.
func TestScanIsNotQuadratic(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString(`{"model":"m","messages":[]`)
	for i := range 200_000 {
		b.WriteString(`,"k` + string(rune('a'+i%26)) + strings.Repeat("x", i%7) + jsonInt(i) + `":0`)
	}
	b.WriteString(`}`)
	if _, err := relay.ScanChat([]byte(b.String())); err != nil {
		t.Fatal(err)
	}
}

func jsonInt(i int) string { b, _ := json.Marshal(i); return string(b) }

var seeds = []string{
	simple, `{}`, ``, `[]`, ` { "model" : "a" , "messages" : [ ] } `, simple + " \n", simple + "x",
	`{"model":"a","messages":[1,-0.5e+3,true,false,null,"\u00e9\n\\\"",{"a":{"b":[]}}],"stream":true}`,
	`{"model":"a","model":"b","messages":[]}`, `{"model":"a","messages":[],"mod\u0065l":"b"}`,
	`{"model":"a","messages":[01]}`, `{"model":"a","messages":[1.]}`, `{"model":"a","messages":["\ud800"]}`,
	`{"model":"a","messages":[,]}`, `{"model":"a","messages":[1,]}`, `{"model":"a",}`, `{"model":"a","messages":[}`,
	"{\"model\":\"a\",\"messages\":[\"\xc3\xa9\xff\"]}", `{"model":"a","messages":[],"tools":[],"tool_choice":"auto"}`,
	`{"model":"a","messages":[],"stream":true,"stream_options":{"include_usage":false},"max_tokens":null}`,
	`{"model":"a","messages":[]` + strings.Repeat(`,"\u0061":1`, 3) + `}`,
}

// strict is the oracle: a JSON object in valid UTF-8 whose names are unique at
// the top. Lone surrogates stay the vendor's to judge.
func strict(body []byte) bool {
	v := jsontext.Value(body)
	if !utf8.Valid(body) || v.Kind() != '{' || !v.IsValid(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)) || depth(body) > 64 {
		return false
	}
	return uniqueTop(body)
}

// uniqueTop compares the names of the top level after unescaping.
func uniqueTop(body []byte) bool {
	d := jsontext.NewDecoder(bytes.NewReader(body), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if _, err := d.ReadToken(); err != nil {
		return false
	}
	seen := map[string]bool{}
	for d.PeekKind() == '"' {
		name, err := d.ReadToken()
		if err != nil || seen[name.String()] {
			return false
		}
		seen[name.String()] = true
		if d.SkipValue() != nil {
			return false
		}
	}
	return true
}

func depth(b []byte) int {
	n, most, in := 0, 0, false
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case in && c == '\\':
			i++
		case c == '"':
			in = !in
		case in:
		case c == '{' || c == '[':
			n++
			most = max(most, n)
		case c == '}' || c == ']':
			n--
		}
	}
	return most
}

// wellTyped says whether the fields that ScanChat judges have values it takes.
func wellTyped(body []byte) bool {
	var v map[string]jsontext.Value
	if json.Unmarshal(body, &v, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)) != nil {
		return false
	}
	for _, k := range []string{"n", "max_tokens", "max_completion_tokens", "tools", "stream_options", "response_format", "reasoning", "thinking"} {
		if _, ok := v[k]; ok {
			return false // not judged by this oracle
		}
	}
	s := string(v["stream"])
	return v["model"].Kind() == '"' && len(v["model"]) > 2 && v["messages"].Kind() == '[' && (s == "" || s == "true" || s == "false" || s == "null")
}

// What ScanChat accepts is what a strict parser accepts, and after any edit it
// is still JSON that differs only in the fields edited.
func FuzzScanChat(f *testing.F) {
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		s, err := relay.ScanChat(body)
		valid := strict(body)
		if err == nil && !valid {
			t.Fatalf("accepted %q", body)
		}
		if valid && wellTyped(body) && err != nil {
			t.Fatalf("refused %q: %v", body, err)
		}
		if err != nil {
			return
		}
		e := relay.Edit{Model: "new \"model\"", MaxTokensKey: "max_tokens", MaxTokens: 77, IncludeUsage: true}
		checkEdit(t, body, s, e)
	})
}

// checkEdit compares an edited body with one that was decoded and changed.
func checkEdit(t *testing.T, body []byte, s relay.Scan, e relay.Edit) {
	t.Helper()
	before := bytes.Clone(body)
	out := bytes.Join(s.Apply(body, e), nil)
	if !bytes.Equal(before, body) {
		t.Fatal("Apply changed the body")
	}
	want, got := decode(t, body), decode(t, out)
	if e.Model != "" {
		want["model"], _ = jsontext.AppendQuote(nil, e.Model)
	}
	if s.MaxTokens == 0 && e.MaxTokens > 0 {
		want[e.MaxTokensKey] = jsontext.Value(jsonInt(int(e.MaxTokens)))
	}
	if e.IncludeUsage && s.Stream && !s.IncludeUsage {
		options := map[string]jsontext.Value{}
		_ = json.Unmarshal(want["stream_options"], &options, jsontext.AllowInvalidUTF8(true))
		if options == nil {
			options = map[string]jsontext.Value{}
		}
		options["include_usage"] = jsontext.Value("true")
		gotOptions := decode(t, got["stream_options"])
		if diff := cmp.Diff(options, gotOptions); diff != "" {
			t.Fatalf("stream_options of %s: %s", out, diff)
		}
		delete(want, "stream_options")
		delete(got, "stream_options")
	}
	if w := want["tools"]; len(w) > 0 && w[0] == '[' && s.Tools == 0 {
		delete(want, "tools")
		delete(want, "tool_choice")
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("%s\n became\n%s\n%s", body, out, diff)
	}
	if _, err := relay.ScanChat(out); err != nil {
		t.Fatalf("%q became %q, which is refused: %v", body, out, err)
	}
}

func decode(t *testing.T, b []byte) map[string]jsontext.Value {
	t.Helper()
	m := map[string]jsontext.Value{}
	if err := json.Unmarshal(b, &m, jsontext.AllowInvalidUTF8(true), jsontext.AllowDuplicateNames(true)); err != nil {
		t.Fatalf("%q: %v", b, err)
	}
	return m
}

func TestApplyChangesOnlyWhatItMust(t *testing.T) {
	t.Parallel()
	full := relay.Edit{Model: "v", MaxTokensKey: "max_completion_tokens", MaxTokens: 9, IncludeUsage: true}
	for _, tt := range []struct {
		name, body string
		edit       relay.Edit
		want       string
	}{
		{"nothing", ` {"model":"m","messages":[]} `, relay.Edit{}, ` {"model":"m","messages":[]} `},
		{"the same model", `{"model":"m","messages":[]}`, relay.Edit{Model: "m"}, `{"model":"m","messages":[]}`},
		{"the model", `{"x":1.50, "model" : "a\u0062" ,"messages":[{"content":"\u00e9"}]}`, relay.Edit{Model: `v"1`}, `{"x":1.50, "model" : "v\"1" ,"messages":[{"content":"\u00e9"}]}`},
		{"everything", `{ "model":"m","stream":true,"messages":[]}`, full, `{"max_completion_tokens":9,"stream_options":{"include_usage":true}, "model":"v","stream":true,"messages":[]}`},
		{"no usage without a stream", `{"model":"m","messages":[]}`, relay.Edit{IncludeUsage: true}, `{"model":"m","messages":[]}`},
		{"usage beside other options", `{"model":"m","messages":[],"stream":true,"stream_options":{ "x":1}}`, relay.Edit{IncludeUsage: true}, `{"model":"m","messages":[],"stream":true,"stream_options":{"include_usage":true, "x":1}}`},
		{"usage in empty options", `{"model":"m","messages":[],"stream":true,"stream_options":{}}`, relay.Edit{IncludeUsage: true}, `{"model":"m","messages":[],"stream":true,"stream_options":{"include_usage":true}}`},
		{"usage switched on", `{"model":"m","messages":[],"stream":true,"stream_options":{"include_usage": false}}`, relay.Edit{IncludeUsage: true}, `{"model":"m","messages":[],"stream":true,"stream_options":{"include_usage": true}}`},
		{"options of null", `{"model":"m","messages":[],"stream":true,"stream_options":null}`, relay.Edit{IncludeUsage: true}, `{"model":"m","messages":[],"stream":true,"stream_options":{"include_usage":true}}`},
		{"the client's limit stays", `{"model":"m","messages":[],"max_tokens":3}`, relay.Edit{MaxTokensKey: "max_completion_tokens", MaxTokens: 9}, `{"model":"m","messages":[],"max_tokens":3}`},
		{"a limit of null", `{"model":"m","messages":[],"max_tokens":null}`, relay.Edit{MaxTokensKey: "max_tokens", MaxTokens: 9}, `{"model":"m","messages":[],"max_tokens":9}`},
		{"empty tools at the end", `{"model":"m","messages":[] , "tools":[ ], "tool_choice":"auto"}`, relay.Edit{}, `{"model":"m","messages":[]}`},
		{"empty tools in front", `{"tool_choice":"auto","tools":[],"model":"m","messages":[]}`, relay.Edit{}, `{"model":"m","messages":[]}`},
		{"empty tools apart", `{"tools":[],"model":"m","tool_choice":"auto","messages":[]}`, relay.Edit{}, `{"model":"m","messages":[]}`},
		{"empty tools around", `{"tool_choice":"auto","model":"m","messages":[],"tools":[]}`, relay.Edit{}, `{"model":"m","messages":[]}`},
		{"tools that are there", `{"model":"m","messages":[],"tools":[{}],"tool_choice":"auto"}`, relay.Edit{}, `{"model":"m","messages":[],"tools":[{}],"tool_choice":"auto"}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, err := relay.ScanChat([]byte(tt.body))
			if err != nil {
				t.Fatal(err)
			}
			if got := string(bytes.Join(s.Apply([]byte(tt.body), tt.edit), nil)); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func benchmarkScan(b *testing.B, size int) {
	text := strings.Repeat("The quick brown fox jumps over the lazy dog.\\n", size/46+1)[:size-140]
	text = strings.TrimRight(text, `\`)
	body := []byte(`{"model":"gpt-4o-mini","temperature":0.7,"max_tokens":256,"stream":false,"messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"` + text + `"}]}`)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		s, err := relay.ScanChat(body)
		if err != nil {
			b.Fatal(err)
		}
		s.Apply(body, relay.Edit{Model: "gpt-4o-mini-2024-07-18"})
	}
}

func BenchmarkScanChat1KB(b *testing.B)   { benchmarkScan(b, 1<<10) }
func BenchmarkScanChat108KB(b *testing.B) { benchmarkScan(b, 108<<10) }

package llmtest

import (
	"errors"
	"io"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/llm"
	"github.com/rephlo/rephlo/internal/secret"
)

// Translator is a vendor of the conversations.
type Translator interface {
	llm.Vendor
	llm.Streamer
}

// Conversations runs every file of testdata/<dialect>-<vendor> through that
// dialect and that vendor, against a service of the test that speaks the
// vendor's protocol. A file is a comment that names its source, and
//
//	client.json      what the client sends
//	target.json      what the model can: abilities and options, as in Setting
//	upstream.json    what the vendor is sent
//	upstream.sse     what it answers: a stream,
//	upstream.answer  JSON in one piece,
//	upstream.error   or a status on the first line and a body behind it
//	reply.sse        what the client gets: a stream,
//	reply.json       an answer or an error in one piece
//	warnings         the value of X-Rephlo-Warnings
//	usage            the classes that are charged
//
// With update upstream.json, reply, warnings and usage are written: read them
// before you keep them.
func Conversations(t *testing.T, root string, update bool, dialects map[string]llm.Dialect, vendors map[string]Translator) {
	files, err := filepath.Glob(filepath.Join(root, "*", "*.txtar"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no conversations in %s: %v", root, err)
	}
	for _, path := range files {
		pair := filepath.Base(filepath.Dir(path))
		from, to, _ := strings.Cut(pair, "-")
		name := strings.TrimSuffix(filepath.Base(path), ".txtar")
		t.Run(pair+"/"+name, func(t *testing.T) {
			t.Parallel()
			c := conversation{Archive: ReadArchive(t, path), dialect: dialects[from], vendor: vendors[to], issuer: to}
			if c.dialect == nil || c.vendor == nil {
				t.Fatalf("no dialect %q or no vendor %q", from, to)
			}
			if !strings.Contains(c.Comment, "Source: ") {
				t.Error("the comment names no source")
			}
			c.run(t, update)
		})
	}
}

// Setting is target.json.
type Setting struct {
	Model     string        `json:"model"`
	Levels    []string      `json:"levels"`
	Account   string        `json:"account"`
	Strict    bool          `json:"strict"`
	Abilities llm.Abilities `json:"abilities"`
	Options   llm.Options   `json:"options"`
}

type conversation struct {
	*Archive
	dialect llm.Dialect
	vendor  Translator
	issuer  string
}

// outcome is what one run gives.
type outcome struct {
	sent, reply, warnings, usage string
	inError                      bool
}

func (c conversation) run(t *testing.T, update bool) {
	got := c.once(t)
	if again := c.once(t); again != got {
		t.Errorf("the same request has another outcome:\n%+v\n%+v", got, again)
	}
	form := "reply.json"
	if strings.HasPrefix(got.reply, "data: ") || strings.HasPrefix(got.reply, "event: ") {
		form = "reply.sse"
		checkStream(t, got)
	}
	if update {
		c.update(t, got, form)
		return
	}
	c.compare(t, got, form)
}

func (c conversation) compare(t *testing.T, got outcome, form string) {
	t.Helper()
	for name, text := range map[string]string{"upstream.json": got.sent, form: got.reply, "warnings": got.warnings, "usage": got.usage} {
		want := c.Text(name)
		if strings.HasSuffix(name, ".json") {
			want, text = indented(want), indented(text)
		}
		if want != strings.Trim(text, "\n") {
			t.Errorf("%s: got\n%s\nwant\n%s", name, text, want)
		}
	}
}

func (c conversation) update(t *testing.T, got outcome, form string) {
	t.Helper()
	for _, n := range []string{"upstream.json", "reply.json", "reply.sse", "warnings", "usage"} {
		if n != form && c.Has(n) && (n == "reply.json" || n == "reply.sse") {
			c.Delete(n)
		}
	}
	for _, f := range []struct{ name, text string }{{"upstream.json", indented(got.sent)}, {form, got.reply}, {"warnings", got.warnings}, {"usage", got.usage}} {
		if f.text == "" {
			c.Delete(f.name)
			continue
		}
		if f.name == "reply.json" {
			f.text = indented(f.text)
		}
		c.Set(f.name, strings.Trim(f.text, "\n")+"\n")
	}
	c.Write(t)
}

// once carries the request to the vendor and the answer back.
func (c conversation) once(t *testing.T) (out outcome) {
	t.Helper()
	meta := llm.ErrorMeta{RequestID: "req_1", DocURL: "https://rephlo.test/errors/"}
	failed := func(err error) outcome {
		f := fault.From(err)
		out.reply = string(c.dialect.AppendError(nil, f, meta))
		return out
	}
	req, err := c.dialect.Decode([]byte(c.Text("client.json")))
	if err != nil {
		return failed(err)
	}
	if req.Model == "" { // of a dialect whose paths say both
		req.Model, req.Stream = "asked", c.Has("upstream.sse")
	}
	srv := NewOpenAI(t)
	srv.Answer(c.upstream(t))
	to := c.target(t, req)
	to.BaseURL = srv.URL
	sent := func() {
		if rs := srv.Requests(); len(rs) == 1 {
			out.sent = string(rs[0].Body)
		}
	}
	m := llm.Meta{CallID: "call_0123456789", Model: req.Model, Created: time.Unix(1_767_225_600, 0), InputTokens: 7, Usage: req.IncludeUsage, Request: req}
	enc := c.dialect.Encoder(m)
	var all llm.Collector
	var stream []byte
	for e, err := range c.vendor.Stream(t.Context(), to, req) {
		if err != nil {
			sent()
			if _, ok := errors.AsType[*llm.Failure](err); !ok {
				t.Errorf("%v is no *llm.Failure", err)
			}
			if !req.Stream || len(stream) == 0 {
				return failed(err)
			}
			out.inError = true
			out.reply = string(c.dialect.AppendStreamError(stream, fault.From(err), meta))
			return out
		}
		all.Add(&e)
		stream = enc.Append(stream, &e)
	}
	sent()
	a := all.Answer()
	out.warnings = llm.WarningsHeader(req.Warnings, a.Head.Warnings)
	out.usage = usageText(a.Usage)
	if !req.Stream {
		out.reply = string(c.dialect.AppendAnswer(nil, m, a))
		return out
	}
	out.reply = string(enc.AppendTerminal(enc.AppendEnd(stream)))
	return out
}

func (c conversation) target(t *testing.T, req *llm.Request) llm.Target {
	t.Helper()
	var s Setting
	if c.Has("target.json") {
		if err := json.Unmarshal([]byte(c.Text("target.json")), &s, json.RejectUnknownMembers(true)); err != nil {
			t.Fatal(err)
		}
	}
	for _, l := range s.Levels {
		s.Abilities.Levels = append(s.Abilities.Levels, llm.EffortNamed(l))
	}
	req.Strict = s.Strict
	to := llm.Target{Key: secret.New("sk-test"), Model: s.Model, AllowPrivate: true, Issuer: c.issuer, Account: s.Account, Abilities: s.Abilities, Options: s.Options}
	if to.Model == "" {
		to.Model = "vendor-model"
	}
	if to.Account == "" {
		to.Account = "acct"
	}
	return to
}

// upstream answers as the file says.
func (c conversation) upstream(t *testing.T) Reply {
	t.Helper()
	switch {
	case c.Has("upstream.sse"):
		return func(call Call) {
			call.W.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(call.W, c.Raw("upstream.sse"))
		}
	case c.Has("upstream.error"):
		status, body, _ := strings.Cut(c.Raw("upstream.error"), "\n")
		code, err := strconv.Atoi(strings.TrimSpace(status))
		if err != nil {
			t.Fatal(err)
		}
		return Status(code, body)
	default:
		return Status(http.StatusOK, c.Text("upstream.answer"))
	}
}

// checkStream checks what holds for every dialect.
func checkStream(t *testing.T, got outcome) {
	t.Helper()
	if !strings.HasSuffix(got.reply, "\n\n") {
		t.Errorf("the stream does not end with an event: %q", got.reply)
	}
	for event := range strings.SplitSeq(strings.TrimSuffix(got.reply, "\n\n"), "\n\n") {
		_, data, ok := strings.Cut(event, "data: ")
		if v := jsontext.Value(data); !ok || data != "[DONE]" && (v.Kind() != '{' || !v.IsValid()) {
			t.Errorf("not an event: %q", event)
		}
	}
}

func usageText(u llm.Usage) string {
	var b strings.Builder
	for _, f := range []struct {
		name string
		n    int64
	}{
		{"input", u.Input},
		{"cacheRead", u.CacheRead},
		{"cacheWrite", u.CacheWrite},
		{"cacheWriteLong", u.CacheWriteLong},
		{"imageInput", u.ImageInput},
		{"audioInput", u.AudioInput},
		{"output", u.Output},
		{"reasoning", u.Reasoning},
		{"audioOutput", u.AudioOutput},
		{"imageOutput", u.ImageOutput},
	} {
		if f.n != 0 {
			b.WriteString(f.name + "=" + strconv.FormatInt(f.n, 10) + " ")
		}
	}
	if u.Suspect {
		b.WriteString("suspect ")
	}
	if u.Reported {
		b.WriteString("reported")
	}
	return strings.TrimSpace(b.String())
}

func indented(text string) string {
	v := jsontext.Value(text)
	if v.Indent() != nil {
		return text
	}
	return string(v)
}

package llmtest

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/llm"
)

// Embeddings runs every file of root/<dialect>-<vendor> as Conversations does,
// for requests for embeddings. There are no streams.
func Embeddings(t *testing.T, root string, update bool, dialects map[string]llm.EmbedDialect, vendors map[string]llm.Embedder) {
	files, err := filepath.Glob(filepath.Join(root, "*", "*.txtar"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no requests in %s: %v", root, err)
	}
	for _, path := range files {
		pair := filepath.Base(filepath.Dir(path))
		from, to, _ := strings.Cut(pair, "-")
		t.Run(pair+"/"+strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			t.Parallel()
			c := conversation{Archive: ReadArchive(t, path), issuer: to}
			if dialects[from] == nil || vendors[to] == nil {
				t.Fatalf("no dialect %q or no vendor %q", from, to)
			}
			if !strings.Contains(c.Comment, "Source: ") {
				t.Error("the comment names no source")
			}
			got := c.embed(t, dialects[from], vendors[to])
			if update {
				c.update(t, got, "reply.json")
				return
			}
			c.compare(t, got, "reply.json")
		})
	}
}

// embed carries the request to the vendor and the answer back.
func (c conversation) embed(t *testing.T, d llm.EmbedDialect, v llm.Embedder) (out outcome) {
	t.Helper()
	failed := func(err error) outcome {
		f := fault.From(err)
		out.reply = `{"code":"` + f.Code + `","param":"` + f.Param + `"}`
		return out
	}
	req, err := d.DecodeEmbed([]byte(c.Text("client.json")))
	if err != nil {
		return failed(err)
	}
	srv := NewOpenAI(t)
	srv.Answer(c.upstream(t))
	strict := llm.Request{}
	to := c.target(t, &strict)
	to.BaseURL, req.Strict = srv.URL, strict.Strict
	a, err := v.Embed(t.Context(), to, req)
	for _, r := range srv.Requests() {
		out.sent += string(r.Body)
	}
	if err != nil {
		return failed(err)
	}
	out.warnings = llm.WarningsHeader(req.Warnings, a.Head.Warnings)
	out.usage = usageText(a.Usage)
	out.reply = string(d.AppendEmbed(nil, "asked", req, a.Vectors, a.Usage))
	return out
}

// CheckEmbed checks that body is read by d, or refused as the client's fault,
// and that what was read is answered with JSON.
func CheckEmbed(t *testing.T, d llm.EmbedDialect, body []byte) {
	t.Helper()
	r, err := d.DecodeEmbed(body)
	if err != nil {
		if k := fault.From(err).Kind; k != fault.Invalid {
			t.Fatalf("%v is %v", err, k)
		}
		return
	}
	vectors := make([]jsontext.Value, len(r.Inputs))
	for i, in := range r.Inputs {
		if vectors[i] = jsontext.Value("[1, -2e-3]"); in.Tokens != nil && !in.Tokens.IsValid() {
			t.Fatalf("%q has the tokens %q", body, in.Tokens)
		}
	}
	if out := d.AppendEmbed(nil, "m", r, vectors, llm.Usage{Input: 5}); len(r.Inputs) == 0 || !jsontext.Value(out).IsValid() {
		t.Fatalf("%q was answered with %q", body, out)
	}
}

package catalog

import (
	"cmp"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/web"
)

// errPage answers a request for a part of a list that does not exist.
var errPage = fault.New(fault.Invalid, "invalid_request", "The part of the list that was asked for does not exist.").Final()

// anthropicEntry is a model as Anthropic lists it.
//
// Source: https://platform.claude.com/docs/en/api/models-list
type anthropicEntry struct {
	Type           string `json:"type"`
	ID             string `json:"id"`
	DisplayName    string `json:"display_name"`
	CreatedAt      string `json:"created_at"`
	MaxInputTokens int64  `json:"max_input_tokens"`
	MaxTokens      int64  `json:"max_tokens"`
}

type anthropicList struct {
	Data    []anthropicEntry `json:"data"`
	HasMore bool             `json:"has_more"`
	FirstID *string          `json:"first_id"`
	LastID  *string          `json:"last_id"`
}

func newAnthropicEntry(m *Model) anthropicEntry {
	return anthropicEntry{Type: "model", ID: m.ID, DisplayName: m.Name, CreatedAt: m.CreatedAt.UTC().Format(time.RFC3339), MaxInputTokens: m.ContextLength, MaxTokens: m.MaxOutput}
}

// anthropic reports whether a request is that of a client of Anthropic's, whose
// paths for models are those of OpenAI.
func anthropic(r *http.Request) bool { return r.Header.Get("Anthropic-Version") != "" }

// orAnthropic answers clients of Anthropic with h, and others as it is mounted.
func orAnthropic(h web.Handler) web.Option {
	return web.With(func(next web.Handler) web.Handler {
		return func(w http.ResponseWriter, r *http.Request) error {
			if anthropic(r) {
				return h(w, r)
			}
			return next(w, r)
		}
	})
}

// callable returns the models that the caller can call now, with one of these
// words: lists without a field for it have only those.
func (a API) callable(r *http.Request, words ...string) ([]*Model, error) {
	who, err := a.caller(r.Context())
	if err != nil {
		return nil, err
	}
	now := a.Models.needs.Now()
	out := []*Model{}
	for _, m := range a.Models.Models() {
		can := slices.ContainsFunc(words, func(w string) bool { return slices.Contains(m.Capabilities.Words, w) })
		if can && who.sees(m) && m.Prices(now) != nil && m.Access.Allows(who.tier, a.Models.needs.Tiers) {
			out = append(out, m)
		}
	}
	return out, nil
}

// named returns the model of the path.
func (a API) named(r *http.Request) (*Model, error) {
	who, err := a.caller(r.Context())
	if err != nil {
		return nil, err
	}
	m, err := a.Models.Model(r.PathValue("model"))
	if err == nil && !who.sees(m) {
		err = ErrNotFound
	}
	return m, err
}

const (
	anthropicPage, maxAnthropicPage = 20, 1000
	geminiPage, maxGeminiPage       = 50, 1000
)

// anthropicList has the newest model first, as Anthropic's has.
func (a API) anthropicList(w http.ResponseWriter, r *http.Request) error {
	all, err := a.callable(r, wordText)
	if err != nil {
		return err
	}
	slices.SortStableFunc(all, func(x, y *Model) int {
		return cmp.Or(y.CreatedAt.Compare(x.CreatedAt), cmp.Compare(x.ID, y.ID))
	})
	q := r.URL.Query()
	limit := anthropicPage
	if text := q.Get("limit"); text != "" {
		if limit, err = strconv.Atoi(text); err != nil || limit < 1 || limit > maxAnthropicPage {
			return errPage.At("limit").Saying("The parameter limit is from 1 to %d.", maxAnthropicPage)
		}
	}
	after, before := q.Get("after_id"), q.Get("before_id")
	from, until := 0, len(all)
	switch place := func(id string) int { return slices.IndexFunc(all, func(m *Model) bool { return m.ID == id }) }; {
	case after != "" && before != "":
		return errPage.At("before_id").Saying("Send either after_id or before_id.")
	case after != "":
		if from = place(after) + 1; from == 0 {
			return errPage.At("after_id").Saying("The parameter after_id is not the id of a model of this list.")
		}
	case before != "":
		if until = place(before); until < 0 {
			return errPage.At("before_id").Saying("The parameter before_id is not the id of a model of this list.")
		}
	}
	out := anthropicList{Data: []anthropicEntry{}, HasMore: until-from > limit}
	if before != "" {
		from = max(from, until-limit)
	} else {
		until = min(until, from+limit)
	}
	for _, m := range all[from:until] {
		out.Data = append(out.Data, newAnthropicEntry(m))
	}
	if n := len(out.Data); n > 0 {
		out.FirstID, out.LastID = &out.Data[0].ID, &out.Data[n-1].ID
	}
	return web.JSON(w, http.StatusOK, out)
}

func (a API) anthropicOne(w http.ResponseWriter, r *http.Request) error {
	m, err := a.named(r)
	if err != nil {
		return err
	}
	return web.JSON(w, http.StatusOK, newAnthropicEntry(m))
}

// geminiEntry is a model as Google lists it.
//
// Source: https://ai.google.dev/api/models
type geminiEntry struct {
	Name             string   `json:"name"`
	BaseModelID      string   `json:"baseModelId"`
	Version          string   `json:"version"`
	DisplayName      string   `json:"displayName"`
	Description      string   `json:"description,omitempty"`
	InputTokenLimit  int64    `json:"inputTokenLimit,omitempty"`
	OutputTokenLimit int64    `json:"outputTokenLimit,omitempty"`
	Methods          []string `json:"supportedGenerationMethods"`
	Thinking         bool     `json:"thinking,omitempty"`
}

// Words of capabilities that say which methods a model has.
const (
	wordText      = "text"
	wordReasoning = "reasoning"
	wordEmbedding = "embedding"
)

func newGeminiEntry(m *Model) geminiEntry {
	out := geminiEntry{
		Name: "models/" + m.ID, BaseModelID: m.ID, Version: m.first.VendorModel, DisplayName: m.Name, Description: m.Description,
		InputTokenLimit: m.ContextLength, OutputTokenLimit: m.MaxOutput, Methods: []string{}, Thinking: slices.Contains(m.Capabilities.Words, wordReasoning),
	}
	if slices.Contains(m.Capabilities.Words, wordText) {
		out.Methods = append(out.Methods, "generateContent", "streamGenerateContent", "countTokens")
	}
	if slices.Contains(m.Capabilities.Words, wordEmbedding) {
		out.Methods = append(out.Methods, "embedContent", "batchEmbedContents")
	}
	return out
}

type geminiPageBody struct {
	Models []geminiEntry `json:"models"`
	Next   *string       `json:"nextPageToken,omitempty"`
}

// geminiListInput describes what geminiList reads.
type geminiListInput struct {
	Size  int    `query:"pageSize" minimum:"0"`
	Token string `query:"pageToken"`
}

func (a API) mountGemini(m *web.Mux) {
	opts := []web.Option{access.Needs(access.ScopeModels), web.Tag(tagModels), web.Failures(a.GoogleFailure)}
	if a.GoogleErrors != nil {
		opts = append(opts, web.Errors(a.GoogleErrors))
	}
	opts = slices.Clip(opts)
	m.Handle("GET /v1beta/models", a.geminiList, append(opts, web.Doc("List the models as Google does"), web.Params(geminiListInput{}), web.Gives(http.StatusOK, "", geminiPageBody{}))...)
	m.Handle("GET /v1beta/models/{model}", a.geminiOne, append(opts, web.Doc("Show one model as Google does"), web.Gives(http.StatusOK, "", geminiEntry{}))...)
}

func (a API) geminiList(w http.ResponseWriter, r *http.Request) error {
	all, err := a.callable(r, wordText, wordEmbedding)
	if err != nil {
		return err
	}
	slices.SortFunc(all, func(x, y *Model) int { return cmp.Compare(x.ID, y.ID) }) // as pages are found
	size, q := 0, r.URL.Query()
	if text := q.Get("pageSize"); text != "" {
		if size, err = strconv.Atoi(text); err != nil || size < 0 {
			return errPage.At("pageSize").Saying("The parameter pageSize is a number that is not below 0.")
		}
	}
	if size == 0 {
		size = geminiPage
	}
	p, err := page(a.Cursors, "gemini models", all, PageInput{Limit: min(size, maxGeminiPage), Cursor: q.Get("pageToken")}, func(m *Model) string { return m.ID })
	if err != nil {
		return errPage.At("pageToken").Saying("The parameter pageToken is not one that this list has given.")
	}
	out := geminiPageBody{[]geminiEntry{}, p.NextCursor}
	for _, m := range p.Data {
		out.Models = append(out.Models, newGeminiEntry(m))
	}
	return web.JSON(w, http.StatusOK, out)
}

func (a API) geminiOne(w http.ResponseWriter, r *http.Request) error {
	m, err := a.named(r)
	if err != nil {
		return err
	}
	return web.JSON(w, http.StatusOK, newGeminiEntry(m))
}

package usage

import (
	"context"
	"time"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/credit"
	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/list"
	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/web"
)

// API is the user's view of their own usage.
type API struct {
	Usage *Service
	// Parts returns what a call was charged to which grants.
	Parts func(ctx context.Context, user, call string) ([]credit.Part, error)
	// Grants and Free tell the credits of a month apart: Free returns those of
	// the grants since a time that the free plan gave.
	Grants Grants
	Free   func(ctx context.Context, user string, since time.Time) (map[credit.GrantID]bool, error)
	// Allowed says what a user's plan includes; nil: everything.
	Allowed func(user string) Allowance
	// Person is for routes of administrators about one person: it checks that
	// there is one and who may see them.
	Person web.Option
}

// Mount registers the routes.
func (a API) Mount(m *web.Mux) {
	web.Route(m, "GET /v1/usage", a.list, access.Needs(access.ScopeCredits), web.Doc("List your model calls, newest first"))
	web.Route(m, "GET /v1/usage/{requestId}", a.get, access.Needs(access.ScopeCredits), web.Doc("Show one model call and how its price was made"))
	web.Route(m, "GET /admin/users/{id}/usage", a.ofPerson, access.Allows(access.ViewUsage), a.Person, web.Doc("List a person's model calls, newest first"))
	a.mountAdmin(m)
	a.mountStats(m)
}

var errDate = fault.New(fault.Invalid, "invalid_request", "The time is not one that this list reads.")

// ListInput is a page of model calls, and which it has.
type ListInput struct {
	Limit     int    `query:"limit" minimum:"1" maximum:"100" default:"20"`
	Cursor    string `query:"cursor" maxLength:"500"`
	StartDate string `query:"start_date" maxLength:"40" doc:"From this day (UTC) or RFC 3339 time"`
	EndDate   string `query:"end_date" maxLength:"40" doc:"To the end of this day (UTC), or before this RFC 3339 time"`
	ModelID   string `query:"model_id" maxLength:"200"`
	Operation string `query:"operation" enum:"chat,completion,response,message,generation,embedding,image,transcription,speech,moderation"`
	Status    string `query:"status" enum:"success,failed,cancelled,rate_limited"`
	KeyID     string `query:"api_key_id" maxLength:"64"`
	ClientID  string `query:"client_id" maxLength:"200"`
}

type listOutput struct{ Body list.Page[Record] }

func (a API) list(ctx context.Context, in *ListInput) (*listOutput, error) {
	actor, err := access.From(ctx)
	if err != nil {
		return nil, err
	}
	first, _ := a.historyFrom(actor.UserID)
	return a.page(ctx, actor.UserID, first, in)
}

type ofPersonInput struct {
	ListInput
	ID string `path:"id" maxLength:"64"`
}

// ofPerson shows administrators more than the person's plan shows.
func (a API) ofPerson(ctx context.Context, in *ofPersonInput) (*listOutput, error) {
	return a.page(ctx, in.ID, time.Time{}, &in.ListInput)
}

// filter reads which calls are asked for.
func (in *ListInput) filter() (f Filter, err error) {
	f = Filter{ModelID: in.ModelID, Operation: in.Operation, Status: in.Status, KeyID: in.KeyID, ClientID: in.ClientID}
	if f.From, err = parseTime("start_date", in.StartDate, 0); err != nil {
		return f, err
	}
	f.Until, err = parseTime("end_date", in.EndDate, 1)
	return f, err
}

// page returns one page of a user's calls since first.
func (a API) page(ctx context.Context, user string, first time.Time, in *ListInput) (*listOutput, error) {
	f, err := in.filter()
	if err != nil {
		return nil, err
	}
	f.From = later(f.From, first)
	entries, next, err := a.Usage.List(ctx, user, f, in.Limit, in.Cursor)
	if err != nil {
		return nil, err
	}
	out := &listOutput{Body: list.Page[Record]{Data: make([]Record, len(entries)), NextCursor: next}}
	for i, e := range entries {
		out.Body.Data[i] = show(e)
	}
	return out, nil
}

// parseTime reads a day, moved on by days, or a time.
func parseTime(param, text string, days int) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if t, err := time.Parse(time.DateOnly, text); err == nil {
		return t.AddDate(0, 0, days), nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, errDate.Saying("%s is neither a day like 2026-03-20 nor a time like 2026-03-20T09:46:40Z.", param).At(param)
	}
	return t, nil
}

type getInput struct {
	RequestID string `path:"requestId" maxLength:"64"`
}

type getOutput struct{ Body explained }

func (a API) get(ctx context.Context, in *getInput) (*getOutput, error) {
	actor, err := access.From(ctx)
	if err != nil {
		return nil, err
	}
	e, err := a.Usage.Find(ctx, actor.UserID, in.RequestID)
	if err != nil {
		return nil, err
	}
	if first, _ := a.historyFrom(actor.UserID); e.At.Before(first) {
		return nil, ErrNotFound
	}
	lines, grants, err := a.price(ctx, e)
	if err != nil {
		return nil, err
	}
	return &getOutput{explained{show(e), e.Ending, lines, grants}}, nil
}

// price returns how the price of a call was made, and which grants paid it.
func (a API) price(ctx context.Context, e Entry) ([]priceLine, []grantUsed, error) {
	parts, err := a.Parts(ctx, e.UserID, e.ID)
	if err != nil {
		return nil, nil, outage(err)
	}
	lines, grants := []priceLine{}, []grantUsed{}
	for _, p := range parts {
		grants = append(grants, grantUsed{GrantID: p.Grant.String(), Credits: p.Charged})
	}
	if e.Ending == Replayed && e.Charged == 0 {
		return lines, grants, nil // it has counts and no price
	}
	for _, l := range e.Lines() {
		lines = append(lines, priceLine(l))
	}
	return lines, grants, nil
}

// Record is an Entry as its user sees it. Input tokens include the cached and
// written ones, output tokens the reasoning, as in the answers' usage objects.
type Record struct {
	ID               string        `json:"id"`
	RequestID        string        `json:"requestId"`
	ModelID          string        `json:"modelId"`
	Operation        string        `json:"operation"`
	Status           string        `json:"status"`
	CreditsUsed      money.Credits `json:"creditsUsed"`
	InputTokens      int64         `json:"inputTokens" doc:"All input, cached or not"`
	CachedTokens     int64         `json:"cachedTokens"`
	CacheWriteTokens int64         `json:"cacheWriteTokens"`
	OutputTokens     int64         `json:"outputTokens" doc:"All output, reasoning included"`
	ReasoningTokens  int64         `json:"reasoningTokens"`
	TotalTokens      int64         `json:"totalTokens"`
	DurationMS       int64         `json:"requestDurationMs"`
	FirstTokenMS     *int64        `json:"timeToFirstTokenMs" doc:"Of a streamed answer"`
	Replayed         bool          `json:"replayed" doc:"The answer of an earlier call was given again"`
	KeyID            *string       `json:"apiKeyId"`
	ClientID         *string       `json:"clientId"`
	CreatedAt        time.Time     `json:"createdAt"`
}

type explained struct {
	Record
	EndReason  string      `json:"endReason"`
	PriceLines []priceLine `json:"priceLines"`
	GrantsUsed []grantUsed `json:"grantsUsed" doc:"Which grants paid, in the order in which they were used"`
}

type grantUsed struct {
	GrantID string        `json:"grantId"`
	Credits money.Credits `json:"credits"`
}

type priceLine struct {
	Class      string        `json:"class"`
	Quantity   int64         `json:"quantity"`
	PerMillion money.Credits `json:"creditsPerMillion"`
	Credits    money.Credits `json:"credits"`
}

func show(e Entry) Record {
	c := e.Counts
	return Record{
		ID: e.ID, RequestID: e.RequestID, ModelID: e.ModelID, Operation: e.Operation, Status: e.Status,
		CreditsUsed: e.Charged, InputTokens: c.TotalInput(), CachedTokens: c.CacheRead,
		CacheWriteTokens: c.CacheWrite + c.CacheWriteLong, OutputTokens: c.TotalOutput(), ReasoningTokens: c.Reasoning,
		TotalTokens: c.TotalInput() + c.TotalOutput(), DurationMS: e.DurationMS,
		FirstTokenMS: optional(e.FirstTokenMS), Replayed: e.Ending == Replayed, KeyID: optional(e.KeyID), ClientID: optional(e.ClientID), CreatedAt: e.At,
	}
}

// optional returns nil for the zero value.
func optional[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}

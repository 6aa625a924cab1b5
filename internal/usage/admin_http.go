package usage

import (
	"context"
	"time"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/list"
	"github.com/rephlo/rephlo/internal/web"
)

func (a API) mountAdmin(m *web.Mux) {
	view := access.Allows(access.ViewUsage)
	web.Route(m, "GET /admin/usage", a.all, view, web.Doc("List everybody's model calls, newest first"))
	web.Route(m, "GET /admin/usage/{requestId}", a.explain, view, web.Doc("Show anybody's model call, its price and what it cost"))
}

type allInput struct {
	ListInput
	UserID string `query:"user_id" maxLength:"64"`
}

// AdminRecord is a model call as administrators see it.
type AdminRecord struct {
	Record
	UserID      string `json:"userId"`
	Provider    string `json:"provider"`
	VendorModel string `json:"vendorModel"`
	Suspect     bool   `json:"usageSuspect" doc:"The vendor reported impossible counts, which were clamped"`
	// With pricing.view:
	CostPico   *int64 `json:"vendorCostPicoUsd" doc:"With pricing.view: what the vendor asks, in millionths of a micro-dollar"`
	MarginPico *int64 `json:"marginPicoUsd" doc:"With pricing.view: the value of what was charged, less that"`
}

func showAdmin(e Entry, reader access.Actor) AdminRecord {
	out := AdminRecord{Record: show(e), UserID: e.UserID, Provider: e.Provider, VendorModel: e.VendorModel, Suspect: e.Suspect}
	if reader.May(access.ViewPrices) {
		margin := int64(e.Charged)*int64(e.Terms.CreditValue) - e.CostPico
		out.CostPico, out.MarginPico = &e.CostPico, &margin
	}
	return out
}

type allOutput struct{ Body list.Page[AdminRecord] }

// The list of everybody's calls looks back so far unless it is told from when,
// and at most so far at once.
const (
	usualWindow = 7 * 24 * time.Hour
	widest      = 31 * 24 * time.Hour
)

func (a API) all(ctx context.Context, in *allInput) (*allOutput, error) {
	reader, err := access.From(ctx)
	if err != nil {
		return nil, err
	}
	f, err := in.filter()
	if err != nil {
		return nil, err
	}
	var entries []Entry
	out := &allOutput{Body: list.Page[AdminRecord]{Data: []AdminRecord{}}}
	if in.UserID != "" {
		entries, out.Body.NextCursor, err = a.Usage.List(ctx, in.UserID, f, in.Limit, in.Cursor)
	} else {
		if f, err = a.window(f); err != nil {
			return nil, err
		}
		entries, out.Body.NextCursor, err = a.Usage.All(ctx, f, in.Limit, in.Cursor)
	}
	for _, e := range entries {
		out.Body.Data = append(out.Body.Data, showAdmin(e, reader))
	}
	return out, err
}

// window bounds which calls of everybody are looked through.
func (a API) window(f Filter) (Filter, error) {
	if f.Until.IsZero() {
		f.Until = a.Usage.now().Add(time.Hour) // the clocks of others may be ahead
	}
	if f.From.IsZero() {
		f.From = f.Until.Add(-usualWindow)
	}
	if f.Until.Sub(f.From) > widest+time.Hour {
		return f, errDate.Saying("Without user_id, start_date and end_date may be at most 31 days apart.").At("start_date")
	}
	return f, nil
}

type explainOutput struct{ Body adminExplained }

type adminExplained struct {
	AdminRecord
	EndReason  string      `json:"endReason"`
	PriceLines []priceLine `json:"priceLines"`
	GrantsUsed []grantUsed `json:"grantsUsed" doc:"Which grants paid, in the order in which they were used"`
}

func (a API) explain(ctx context.Context, in *getInput) (*explainOutput, error) {
	reader, err := access.From(ctx)
	if err != nil {
		return nil, err
	}
	entries, err := a.Usage.Calls(ctx, in.RequestID)
	if err != nil {
		return nil, outage(err)
	}
	if len(entries) == 0 {
		return nil, ErrNotFound
	}
	e := entries[0] // the newest, when the id was used more than once
	lines, grants, err := a.price(ctx, e)
	if err != nil {
		return nil, err
	}
	return &explainOutput{adminExplained{showAdmin(e, reader), e.Ending, lines, grants}}, nil
}

package usage

import (
	"context"
	"encoding/csv"
	"net/http"
	"strconv"
	"time"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/calendar"
	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/web"
)

// Allowance is what a user's plan includes.
type Allowance struct {
	HistoryDays int  // how far back usage is shown; 0 is all
	Advanced    bool // statistics by hour, key and app, and the export
}

// ErrFeature answers somebody whose plan does not include what they ask for.
var ErrFeature = fault.New(fault.Forbidden, "feature_not_in_plan", "Your plan does not include this. A higher one does.")

// errRange refuses statistics over too much at once.
var errRange = fault.New(fault.Invalid, "invalid_request", "The range is empty or longer than 400 days. Ask for less.").At("start_date")

const maxRange = 400 * 24 * time.Hour

// historyFrom is the first moment that a user's plan shows; zero: all.
func (a API) historyFrom(user string) (from time.Time, advanced bool) {
	if a.Allowed == nil {
		return time.Time{}, true
	}
	allowed := a.Allowed(user)
	if allowed.HistoryDays > 0 {
		from = calendar.DayStart(a.Usage.now(), time.UTC).AddDate(0, 0, -allowed.HistoryDays)
	}
	return from, allowed.Advanced
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

type statsInput struct {
	GroupBy   Group  `query:"group_by" enum:"day,hour,model,operation,key,app" default:"day"`
	StartDate string `query:"start_date" maxLength:"40" doc:"From this day of the time zone, or RFC 3339 time; default 30 days back"`
	EndDate   string `query:"end_date" maxLength:"40" doc:"To the end of this day of the time zone, or before this RFC 3339 time"`
	Timezone  string `query:"timezone" maxLength:"60" default:"UTC" doc:"IANA name; days are those of this zone"`
}

// SumBody is usage added up, as the API shows it.
type SumBody struct {
	Requests          int64         `json:"requests"`
	CreditsUsed       money.Credits `json:"creditsUsed"`
	InputTokens       int64         `json:"inputTokens"`
	CachedTokens      int64         `json:"cachedTokens"`
	OutputTokens      int64         `json:"outputTokens"`
	ReasoningTokens   int64         `json:"reasoningTokens"`
	TotalTokens       int64         `json:"totalTokens"`
	AverageDurationMS int64         `json:"averageDurationMs"`
}

type statsRow struct {
	Key string `json:"key" doc:"A name; of a day or an hour, when it begins; empty: without API key, or without app"`
	SumBody
}

type statsOutput struct {
	Body struct {
		Data        []statsRow `json:"data"`
		Total       SumBody    `json:"total"`
		HistoryFrom *time.Time `json:"historyFrom" doc:"Older usage is not part of your plan; null: all is"`
	}
}

func showSum(s Sum) SumBody {
	b := SumBody{
		Requests: s.Requests, CreditsUsed: s.Charged, InputTokens: s.Input, CachedTokens: s.Cached, OutputTokens: s.Output,
		ReasoningTokens: s.Reasoning, TotalTokens: s.Input + s.Output,
	}
	if s.Requests > 0 {
		b.AverageDurationMS = s.DurationMS / s.Requests
	}
	return b
}

func (a API) stats(ctx context.Context, in *statsInput) (*statsOutput, error) {
	actor, err := access.From(ctx)
	if err != nil {
		return nil, err
	}
	first, advanced := a.historyFrom(actor.UserID)
	if !advanced && (in.GroupBy == ByHour || in.GroupBy == ByKey || in.GroupBy == ByApp) {
		return nil, ErrFeature.At("group_by")
	}
	from, until, zone, err := a.span(first, in.StartDate, in.EndDate, in.Timezone)
	if err != nil {
		return nil, err
	}
	out := &statsOutput{}
	out.Body.Data = []statsRow{}
	if !first.IsZero() {
		out.Body.HistoryFrom = &first
	}
	if !from.Before(until) {
		return out, nil
	}
	stats, err := a.Usage.Stats(ctx, actor.UserID, from, until, in.GroupBy, zone)
	if err != nil {
		return nil, err
	}
	out.Body.Total = showSum(stats.Total)
	for _, r := range stats.Rows {
		out.Body.Data = append(out.Body.Data, statsRow{r.Name, showSum(r.Sum)})
	}
	return out, nil
}

// span is the time that somebody asks about, as far as their plan shows it.
func (a API) span(first time.Time, start, end, timezone string) (from, until time.Time, zone *time.Location, err error) {
	if zone, err = zoneOf(timezone); err != nil {
		return from, until, nil, err
	}
	now := a.Usage.now()
	if from, err = parseIn("start_date", start, 0, zone, calendar.DayStart(now.AddDate(0, 0, -30), zone)); err != nil {
		return from, until, nil, err
	}
	if until, err = parseIn("end_date", end, 1, zone, now.Add(quarter)); err != nil {
		return from, until, nil, err
	}
	if from = later(from, first); until.Sub(from) > maxRange {
		return from, until, nil, errRange
	}
	return from, until, zone, nil
}

func zoneOf(name string) (*time.Location, error) {
	zone, err := time.LoadLocation(name)
	if err != nil || name == "Local" {
		return nil, errDate.Saying("%q is not the name of a time zone, like Europe/Berlin.", name).At("timezone")
	}
	return zone, nil
}

// parseIn reads a day of zone, moved on by days, or a time.
func parseIn(param, text string, days int, zone *time.Location, otherwise time.Time) (time.Time, error) {
	if text == "" {
		return otherwise, nil
	}
	if t, err := time.Parse(time.DateOnly, text); err == nil {
		year, month, day := t.Date()
		return calendar.DayStart(time.Date(year, month, day+days, 12, 0, 0, 0, zone), zone), nil
	}
	return parseTime(param, text, 0)
}

// export writes the user's records as CSV, page by page.
func (a API) export(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	actor, err := access.From(ctx)
	if err != nil {
		return err
	}
	first, advanced := a.historyFrom(actor.UserID)
	if !advanced {
		return ErrFeature
	}
	q := r.URL.Query()
	f := Filter{ModelID: q.Get("model_id"), Operation: q.Get("operation"), Status: q.Get("status"), KeyID: q.Get("api_key_id"), ClientID: q.Get("client_id")}
	if f.From, err = parseTime("start_date", q.Get("start_date"), 0); err != nil {
		return err
	}
	if f.Until, err = parseTime("end_date", q.Get("end_date"), 1); err != nil {
		return err
	}
	f.From = later(f.From, first)
	const page = 500
	entries, next, err := a.Usage.List(ctx, actor.UserID, f, page, "")
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/csv; charset=utf-8")
	w.Header().Set("Content-Disposition", `attachment; filename="usage.csv"`)
	out := csv.NewWriter(w)
	_ = out.Write([]string{ // a client that left is seen at the flush
		"createdAt", "id", "requestId", "modelId", "operation", "status", "creditsUsed", "inputTokens", "cachedTokens", "outputTokens", "reasoningTokens", "requestDurationMs", "apiKeyId", "clientId",
	})
	for {
		for _, e := range entries {
			_ = out.Write(csvLine(show(e)))
		}
		out.Flush()
		if out.Error() != nil || next == nil {
			return nil
		}
		if entries, next, err = a.Usage.List(ctx, actor.UserID, f, page, *next); err != nil {
			return err
		}
	}
}

func csvLine(r Record) []string {
	n := func(v int64) string { return strconv.FormatInt(v, 10) }
	text := func(s *string) string {
		if s == nil {
			return ""
		}
		return cell(*s)
	}
	return []string{
		r.CreatedAt.Format(time.RFC3339Nano), r.ID, cell(r.RequestID), cell(r.ModelID), r.Operation, r.Status, r.CreditsUsed.String(),
		n(r.InputTokens), n(r.CachedTokens), n(r.OutputTokens), n(r.ReasoningTokens), n(r.DurationMS), text(r.KeyID), text(r.ClientID),
	}
}

// cell keeps spreadsheets from taking what a caller chose for a formula.
func cell(s string) string {
	if s != "" && (s[0] == '=' || s[0] == '+' || s[0] == '-' || s[0] == '@' || s[0] == '\t' || s[0] == '\r') {
		return "'" + s
	}
	return s
}

// mountStats registers the routes of this file.
func (a API) mountStats(m *web.Mux) {
	needs := access.Needs(access.ScopeCredits)
	web.Route(m, "GET /v1/usage/stats", a.stats, needs, web.Doc("Add your usage up by day, hour, model, operation, key or app"))
	web.Route(m, "GET /api/user/usage/summary", a.summary, needs, web.Doc("Sum up a calendar month of your usage"))
	web.Route(m, "GET /v1/usage/cache", a.saved, needs, web.Doc("See what caches have saved you, by day, model or key"))
	m.Handle("GET /v1/usage/export", a.export, needs, web.Doc("Take a copy of your usage as a table"), web.Gives(http.StatusOK, "text/csv", nil), web.Params(ListInput{}))
}

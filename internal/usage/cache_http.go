package usage

import (
	"context"
	"time"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/money"
)

type savedInput struct {
	GroupBy   Group  `query:"group_by" enum:"day,model,key" default:"day"`
	StartDate string `query:"start_date" maxLength:"40" doc:"From this day of the time zone, or RFC 3339 time; default 30 days back"`
	EndDate   string `query:"end_date" maxLength:"40" doc:"To the end of this day of the time zone, or before this RFC 3339 time"`
	Timezone  string `query:"timezone" maxLength:"60" default:"UTC" doc:"IANA name; days are those of this zone"`
}

// SavedBody is what caches have saved, as the API shows it.
type SavedBody struct {
	Requests      int64         `json:"requests" doc:"That a vendor answered"`
	InputTokens   int64         `json:"inputTokens"`
	CachedTokens  int64         `json:"cachedTokens" doc:"That vendors had in their caches"`
	HitRate       float64       `json:"hitRate" doc:"cachedTokens of inputTokens, from 0 to 1"`
	CreditsSaved  money.Credits `json:"creditsSaved" doc:"By vendors' caches, less what writing to them cost; may be below zero"`
	Replayed      int64         `json:"replayed" doc:"Requests that were given an earlier answer again"`
	ReplayedSaved money.Credits `json:"replayedCreditsSaved" doc:"What those would have cost"`
}

// SavedRowBody is one group.
type SavedRowBody struct {
	Key string `json:"key" doc:"A name; of a day, when it begins"`
	SavedBody
}

type savedOutput struct {
	Body struct {
		Data        []SavedRowBody `json:"data"`
		Total       SavedBody      `json:"total"`
		HistoryFrom *time.Time     `json:"historyFrom" doc:"Older usage is not part of your plan; null: all is"`
	}
}

func showSaved(s SavedSum) SavedBody {
	b := SavedBody{
		Requests: s.Requests, InputTokens: s.Input, CachedTokens: s.Cached, CreditsSaved: s.SavedRead,
		Replayed: s.Replayed, ReplayedSaved: s.SavedReplayed,
	}
	if s.Input > 0 {
		b.HitRate = float64(s.Cached*10_000/s.Input) / 10_000
	}
	return b
}

func (a API) saved(ctx context.Context, in *savedInput) (*savedOutput, error) {
	actor, err := access.From(ctx)
	if err != nil {
		return nil, err
	}
	first, advanced := a.historyFrom(actor.UserID)
	if !advanced {
		return nil, ErrFeature
	}
	from, until, zone, err := a.span(first, in.StartDate, in.EndDate, in.Timezone)
	if err != nil {
		return nil, err
	}
	out := &savedOutput{}
	out.Body.Data = []SavedRowBody{}
	if !first.IsZero() {
		out.Body.HistoryFrom = &first
	}
	if !from.Before(until) {
		return out, nil
	}
	saved, err := a.Usage.Saved(ctx, actor.UserID, from, until, in.GroupBy, zone)
	if err != nil {
		return nil, err
	}
	out.Body.Total = showSaved(saved.Total)
	for _, r := range saved.Rows {
		out.Body.Data = append(out.Body.Data, SavedRowBody{r.Name, showSaved(r.SavedSum)})
	}
	return out, nil
}

package usage

import (
	"context"
	"time"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/calendar"
	"github.com/rephlo/rephlo/internal/money"
)

type monthInput struct {
	Period   string `query:"period" maxLength:"20" default:"current_month" doc:"current_month, or a month as 2026-03"`
	Timezone string `query:"timezone" maxLength:"60" default:"UTC" doc:"IANA name; the month is that of this zone"`
}

type monthOutput struct {
	Body struct {
		Period      string      `json:"period" doc:"As 2026-03"`
		PeriodStart time.Time   `json:"periodStart"`
		PeriodEnd   time.Time   `json:"periodEnd" doc:"The first moment after it"`
		HistoryFrom *time.Time  `json:"historyFrom" doc:"Older usage is not part of your plan; null: all is"`
		Summary     MonthSum    `json:"summary"`
		Credits     MonthParts  `json:"creditBreakdown"`
		Models      []ModelPart `json:"modelBreakdown" doc:"The most used first"`
	}
}

// MonthSum is a month in a few numbers.
type MonthSum struct {
	CreditsUsed   money.Credits `json:"creditsUsed"`
	Requests      int64         `json:"apiRequests"`
	TotalTokens   int64         `json:"totalTokens"`
	AverageTokens int64         `json:"averageTokensPerRequest" doc:"Rounded down"`
	MostUsed      *string       `json:"mostUsedModel" doc:"By requests; null: there were none"`
	MostUsedShare int64         `json:"mostUsedModelPercentage" doc:"Of the requests, rounded down"`
}

// MonthParts are credits by where they come from.
type MonthParts struct {
	Free         MonthPart `json:"free" doc:"Of the free plan"`
	Subscription MonthPart `json:"subscription" doc:"Of a plan that is paid for, given or on trial"`
	Rollover     MonthPart `json:"rollover"`
	Bonus        MonthPart `json:"bonus" doc:"Bonuses, adjustments, coupons and referrals"`
	Purchased    MonthPart `json:"purchased" doc:"Packs"`
}

// MonthPart is what was used of some credits.
type MonthPart struct {
	Used  money.Credits `json:"used"`
	Limit money.Credits `json:"limit" doc:"What could be used in the time: what was there at its beginning, and what came"`
}

// ModelPart is what one model was used.
type ModelPart struct {
	ModelID string `json:"modelId"`
	SumBody
	Share int64 `json:"percentage" doc:"Of the requests, rounded down"`
}

func (a API) summary(ctx context.Context, in *monthInput) (*monthOutput, error) {
	actor, err := access.From(ctx)
	if err != nil {
		return nil, err
	}
	zone, err := zoneOf(in.Timezone)
	if err != nil {
		return nil, err
	}
	p := calendar.Month(a.Usage.now(), zone)
	if in.Period != "current_month" {
		month, err := time.ParseInLocation("2006-01", in.Period, zone)
		if err != nil || month.Year() < 2000 || month.After(a.Usage.now()) {
			return nil, errDate.Saying("Ask for current_month or a month that has begun, as 2026-03.").At("period")
		}
		p = calendar.Month(month, zone)
	}
	first, _ := a.historyFrom(actor.UserID)
	m, err := a.month(ctx, actor.UserID, p, first)
	if err != nil {
		return nil, err
	}
	out := showMonth(m, zone)
	if !first.IsZero() {
		out.Body.HistoryFrom = &first
	}
	return out, nil
}

func showMonth(m Month, zone *time.Location) *monthOutput {
	share := func(n int64) int64 {
		if m.Total.Requests == 0 {
			return 0
		}
		return n * 100 / m.Total.Requests
	}
	out := &monthOutput{}
	b := &out.Body
	b.Period, b.PeriodStart, b.PeriodEnd = m.Start.In(zone).Format("2006-01"), m.Start.UTC(), m.End.UTC()
	total := showSum(m.Total)
	b.Summary = MonthSum{CreditsUsed: m.Total.Charged, Requests: m.Total.Requests, TotalTokens: total.TotalTokens}
	if m.Total.Requests > 0 {
		b.Summary.AverageTokens = total.TotalTokens / m.Total.Requests
	}
	b.Models = []ModelPart{}
	for _, r := range m.Models {
		b.Models = append(b.Models, ModelPart{r.Name, showSum(r.Sum), share(r.Requests)})
	}
	if len(m.Models) > 0 {
		b.Summary.MostUsed, b.Summary.MostUsedShare = &m.Models[0].Name, share(m.Models[0].Requests)
	}
	b.Credits = MonthParts{MonthPart(m.Free), MonthPart(m.Plan), MonthPart(m.Rollover), MonthPart(m.Bonus), MonthPart(m.Purchased)}
	return out
}

package credit

import (
	"context"
	"time"

	"github.com/rephlo/rephlo/internal/money"
)

type usageOfInput struct {
	UserPath
	Months int `query:"months" minimum:"1" maximum:"24" default:"6"`
}

type usageOfOutput struct {
	Body struct {
		UserID string       `json:"userId"`
		Data   []periodBody `json:"data" doc:"Calendar months (UTC), the current one first"`
	}
}

type periodBody struct {
	Period   string        `json:"period" doc:"YYYY-MM"`
	Granted  money.Credits `json:"granted"`
	Charged  money.Credits `json:"charged"`
	Returned money.Credits `json:"returned" doc:"Given back of charges and of what was taken"`
	Expired  money.Credits `json:"expired"`
	Taken    money.Credits `json:"taken" doc:"Deducted, or taken back after a refund"`
}

func (a API) usageOf(ctx context.Context, in *usageOfInput) (*usageOfOutput, error) {
	if err := a.Known(ctx, in.UserID); err != nil {
		return nil, err
	}
	months, err := a.Credits.UseByMonth(ctx, in.UserID, in.Months)
	if err != nil {
		return nil, outage(err)
	}
	out := &usageOfOutput{}
	out.Body.UserID, out.Body.Data = in.UserID, make([]periodBody, 0, len(months))
	for _, m := range months {
		out.Body.Data = append(out.Body.Data, periodBody{
			Period: m.Start.Format("2006-01"), Granted: m.Granted, Charged: m.Charged, Returned: m.Returned, Expired: m.Expired, Taken: m.Taken,
		})
	}
	return out, nil
}

type rolloverOutput struct {
	Body struct {
		UserID            string        `json:"userId"`
		CycleEnd          *time.Time    `json:"cycleEnd" doc:"null: no cycle is under way"`
		PlanRemaining     money.Credits `json:"planRemaining" doc:"Without what open calls hold"`
		RollsOver         money.Credits `json:"rollsOver"`
		RolloverExpiresAt *time.Time    `json:"rolloverExpiresAt"`
		Trimmed           money.Credits `json:"trimmed" doc:"Of what was carried over before"`
		Expires           money.Credits `json:"expires"`
	}
}

func (a API) rolloverOf(ctx context.Context, in *UserPath) (*rolloverOutput, error) {
	if err := a.Known(ctx, in.UserID); err != nil {
		return nil, err
	}
	var most money.Credits
	var months int
	if a.Carries != nil {
		most, months = a.Carries(in.UserID)
	}
	r, err := a.Credits.PreviewRoll(ctx, in.UserID, most, months)
	if err != nil {
		return nil, outage(err)
	}
	out := &rolloverOutput{}
	b := &out.Body
	b.UserID, b.CycleEnd, b.PlanRemaining, b.RollsOver = in.UserID, timeOrNull(r.End), r.Left, r.Rolled
	b.Trimmed, b.Expires = r.Trimmed, r.Expired
	if r.Rolled > 0 {
		b.RolloverExpiresAt = timeOrNull(r.Until)
	}
	return out, nil
}

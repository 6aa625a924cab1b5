package subscription

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/web"
)

func (a AdminAPI) mountMore(m *web.Mux) {
	view, edit, billing := access.Allows(access.ViewPlans), access.Allows(access.EditPlans), access.Allows(access.ViewBilling)
	web.Route(m, "GET /admin/subscriptions/stats", a.stats, view, web.Doc("Count subscriptions and what they pay"))
	web.Route(m, "POST /admin/subscriptions/{id}/extend", a.extend, edit, web.Once(), web.Doc("Move the end of a subscription that nobody pays for"))
	web.Route(m, "POST /admin/subscriptions/{id}/trial", a.moveTrial, edit, web.Once(), web.Doc("Move the end of a running trial and its credits"))
	web.Route(m, "GET /admin/prorations/stats", a.prorationStats, billing, web.Doc("Sum changes of plan up by what was changed to what"))
	web.Route(m, "GET /admin/prorations/{id}", a.proration, billing, web.Doc("Show a change of plan"))
	web.Route(m, "POST /admin/prorations/{id}/reverse", a.reverse, access.Allows(access.RefundPlans), web.Once(), web.Status(http.StatusCreated), web.Doc("Take a change of plan back, with its money and credits"))
	web.Route(m, "GET /admin/prorations/{id}/calculation", a.calculation, billing, web.Doc("Show each step of how a change of plan was computed"))
}

// StatsBody is what subscriptions come to.
type StatsBody struct {
	ByStatus        map[string]int64 `json:"byStatus"`
	ByTier          map[string]int64 `json:"byTier" doc:"Live ones"`
	ByMode          map[string]int64 `json:"byBillingMode" doc:"Live ones; manual ones were given by an administrator"`
	MRR             int64            `json:"mrr" doc:"What a month brings, in minor units: paid subscriptions that are active or past due, annual ones ÷ 12 each; no trials"`
	Currency        string           `json:"currency"`
	PastDue         int64            `json:"pastDue"`
	Trials          int64            `json:"trials" doc:"Running ones"`
	TrialsEnded     int64            `json:"trialsEnded"`
	TrialsConverted int64            `json:"trialsConverted" doc:"Of those: paid on"`
}

type statsOutput struct{ Body StatsBody }

func (a AdminAPI) stats(ctx context.Context, _ *struct{}) (*statsOutput, error) {
	counts, err := a.Plans.store.counts(ctx)
	if err != nil {
		return nil, err
	}
	b := StatsBody{ByStatus: map[string]int64{}, ByTier: map[string]int64{}, ByMode: map[string]int64{}, Currency: Currency}
	for _, c := range counts {
		b.ByStatus[string(c.State)] += c.Count
		if !(Subscription{State: c.State}).Live() {
			continue
		}
		b.ByTier[c.Tier] += c.Count
		b.ByMode[string(c.Mode)] += c.Count
		if c.Mode == ModeVendor && (c.State == Active || c.State == PastDue) {
			b.MRR += c.Monthly
		}
	}
	b.PastDue, b.Trials = b.ByStatus[string(PastDue)], b.ByStatus[string(Trial)]
	b.TrialsEnded, b.TrialsConverted, err = a.Plans.store.trials(ctx)
	return &statsOutput{b}, err
}

type extendInput struct {
	IDInput
	Body struct {
		Days   int    `json:"days" minimum:"1" maximum:"366"`
		Reason string `json:"reason" minLength:"10" maxLength:"500"`
	}
}

func (a AdminAPI) extend(ctx context.Context, in *extendInput) (*oneOutput, error) {
	actor, err := access.From(ctx)
	if err != nil {
		return nil, err
	}
	return a.Plans.answer(a.Plans.Extend(ctx, in.ID, in.Body.Days, Why{Actor: actor.UserID, Reason: in.Body.Reason, Admin: true}))
}

type moveTrialInput struct {
	IDInput
	Body struct {
		EndsAt time.Time `json:"endsAt"`
		Reason string    `json:"reason" minLength:"10" maxLength:"500"`
	}
}

func (a AdminAPI) moveTrial(ctx context.Context, in *moveTrialInput) (*oneOutput, error) {
	actor, err := access.From(ctx)
	if err != nil {
		return nil, err
	}
	return a.Plans.answer(a.Plans.MoveTrial(ctx, in.ID, in.Body.EndsAt, Why{Actor: actor.UserID, Reason: in.Body.Reason, Admin: true}))
}

type prorationStatsOutput struct {
	Body struct {
		Data     []ProrationSumBody `json:"data"`
		Currency string             `json:"currency"`
	}
}

// ProrationSumBody is what changes from one plan to another came to.
type ProrationSumBody struct {
	FromTier string `json:"fromTier"`
	ToTier   string `json:"toTier"`
	Count    int64  `json:"count"`
	Credit   int64  `json:"credit"`
	Charge   int64  `json:"charge"`
	Net      int64  `json:"net"`
}

func (a AdminAPI) prorationStats(ctx context.Context, _ *struct{}) (*prorationStatsOutput, error) {
	sums, err := a.Plans.store.prorationSums(ctx)
	out := &prorationStatsOutput{}
	out.Body.Data, out.Body.Currency = []ProrationSumBody{}, Currency
	for _, p := range sums {
		out.Body.Data = append(out.Body.Data, ProrationSumBody{p.From, p.To, p.Count, p.Credit, p.Charge, p.Net})
	}
	return out, err
}

type prorationOutput struct{ Body ProrationBody }

func (a AdminAPI) proration(ctx context.Context, in *IDInput) (*prorationOutput, error) {
	r, err := a.Plans.store.prorationByID(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return &prorationOutput{showProration(r)}, nil
}

type calculationOutput struct {
	Body struct {
		ID       string    `json:"id"`
		Currency string    `json:"currency" doc:"Money is in its minor units"`
		Steps    []StepRow `json:"steps"`
	}
}

// StepRow is one line of a computation.
type StepRow struct {
	Name    string `json:"name"`
	Formula string `json:"formula"`
	Numbers string `json:"numbers" doc:"The formula with what was known then"`
	Result  string `json:"result"`
}

func (a AdminAPI) calculation(ctx context.Context, in *IDInput) (*calculationOutput, error) {
	r, err := a.Plans.store.prorationByID(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	out := &calculationOutput{}
	out.Body.ID, out.Body.Currency, out.Body.Steps = r.ID, Currency, r.steps()
	if r.Reverses != "" {
		out.Body.Steps = r.mirrored()
	}
	return out, nil
}

// steps are the lines of the computation, each rounded once.
func (p Proration) steps() []StepRow {
	rest := func(name, what string, amount, result int64) StepRow {
		return StepRow{name, what + " x R / P, half up", fmt.Sprintf("%d x %d / %d", amount, p.Left, p.Total), fmt.Sprint(result)}
	}
	charge := rest("charge", "price", p.Price, p.Charge)
	if p.Renewed {
		charge = StepRow{"charge", "price, because a new period starts", fmt.Sprint(p.Price), fmt.Sprint(p.Charge)}
	}
	extra := StepRow{"extraCredits", "none: the new plan has no more credits, or the cycle has just begun anew", "", "0"}
	if p.Extra > 0 {
		extra = StepRow{"extraCredits", "(new - old credits per month) x Rc / Pc, up to whole credits", fmt.Sprintf("x %d / %d", p.CreditLeft, p.CreditTotal), fmt.Sprint(int64(p.Extra / money.Credit))}
	}
	return []StepRow{
		rest("credit", "paid", p.Paid, p.Credit), charge,
		{"net", "charge - credit", fmt.Sprintf("%d - %d", p.Charge, p.Credit), fmt.Sprint(p.Net)},
		extra,
	}
}

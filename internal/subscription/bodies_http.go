package subscription

import (
	"time"

	"github.com/rephlo/rephlo/internal/money"
)

// body is a subscription as the API shows it.
type body struct {
	ID                 string        `json:"id"`
	UserID             string        `json:"userId"`
	Tier               string        `json:"tier"`
	Status             State         `json:"status" enum:"incomplete,trial,active,past_due,suspended,cancelled,expired"`
	Cycle              Cycle         `json:"billingCycle" enum:"monthly,annual"`
	Mode               Mode          `json:"billingMode" enum:"free,manual,vendor"`
	Price              int64         `json:"price" doc:"Of a whole period, in minor units"`
	Currency           string        `json:"currency"`
	CreditsPerMonth    money.Credits `json:"creditsPerMonth"`
	CurrentPeriodStart *time.Time    `json:"currentPeriodStart"`
	CurrentPeriodEnd   *time.Time    `json:"currentPeriodEnd"`
	CreditCycleStart   time.Time     `json:"creditCycleStart"`
	CreditCycleEnd     time.Time     `json:"creditCycleEnd"`
	TrialEndsAt        *time.Time    `json:"trialEndsAt"`
	EndsAt             *time.Time    `json:"endsAt"`
	CancelAtPeriodEnd  bool          `json:"cancelAtPeriodEnd"`
	Scheduled          *scheduled    `json:"scheduledChange"`
	Dunning            *dunning      `json:"dunning"`
	PausedAt           *time.Time    `json:"pausedAt" doc:"Since when nothing is collected, because the account is suspended"`
	CreatedAt          time.Time     `json:"createdAt"`
	EndedAt            *time.Time    `json:"endedAt"`
}

type scheduled struct {
	Tier  string    `json:"tier"`
	Cycle Cycle     `json:"billingCycle"`
	At    time.Time `json:"at"`
}

type dunning struct {
	FailedAt      time.Time  `json:"failedAt"`
	NextAttemptAt *time.Time `json:"nextAttemptAt"`
}

type oneOutput struct{ Body body }

// answer shows v unless err.
func (s *Service) answer(v Subscription, err error) (*oneOutput, error) {
	if err != nil {
		return nil, err
	}
	return &oneOutput{s.show(v)}, nil
}

// Shown is v as the API shows it, for others who show it.
func (s *Service) Shown(v Subscription) any { return s.show(v) }

func (s *Service) show(v Subscription) body {
	b := body{
		ID: v.ID, UserID: v.UserID, Tier: v.Tier, Status: v.State, Cycle: v.Cycle, Mode: v.Mode, Price: v.Paid, Currency: Currency,
		CreditCycleStart: v.CreditCycle().Start, CreditCycleEnd: v.CreditCycle().End, TrialEndsAt: optional(v.TrialEnd),
		EndsAt: optional(v.EndsAt), CancelAtPeriodEnd: v.CancelAtEnd, CreatedAt: v.CreatedAt, EndedAt: optional(v.EndedAt), PausedAt: optional(v.PausedAt),
	}
	if t := s.Tiers.Tier(v.Tier); t != nil {
		b.CreditsPerMonth = t.CreditsPerMonth
	}
	p := v.Period()
	b.CurrentPeriodStart, b.CurrentPeriodEnd = optional(p.Start), optional(p.End)
	if v.NextTier != "" {
		b.Scheduled = &scheduled{v.NextTier, v.NextCycle, p.End}
	}
	if !v.FailedAt.IsZero() && v.Live() {
		_, next := v.next()
		b.Dunning = &dunning{v.FailedAt, optional(next)}
	}
	return b
}

// EventBody is an Event as the API shows it.
type EventBody struct {
	ID             string    `json:"id"`
	SubscriptionID string    `json:"subscriptionId"`
	From           *State    `json:"from" doc:"null at the start"`
	To             State     `json:"to"`
	Cause          string    `json:"cause"`
	Reason         *string   `json:"reason"`
	CreatedAt      time.Time `json:"createdAt"`
}

func showEvent(e Event) EventBody {
	b := EventBody{ID: e.ID, SubscriptionID: e.SubscriptionID, To: e.To, Cause: e.Cause, CreatedAt: e.At}
	if e.From != "" {
		b.From = &e.From
	}
	if e.Reason != "" {
		b.Reason = &e.Reason
	}
	return b
}

// Calculation shows each line of a proration, with what it was rounded from.
type Calculation struct {
	SecondsLeft        int64         `json:"secondsLeft" doc:"Of the billing period"`
	SecondsTotal       int64         `json:"secondsTotal"`
	Paid               int64         `json:"paid" doc:"For a whole period of the present plan"`
	Price              int64         `json:"price" doc:"For a whole period of the new one"`
	Credit             int64         `json:"credit" doc:"paid x secondsLeft / secondsTotal, half up"`
	Charge             int64         `json:"charge" doc:"price x secondsLeft / secondsTotal, half up; the whole price when a new period starts"`
	Net                int64         `json:"net" doc:"charge - credit; below zero it goes to the billing balance"`
	Currency           string        `json:"currency"`
	CreditSecondsLeft  int64         `json:"creditSecondsLeft" doc:"Of the credit cycle"`
	CreditSecondsTotal int64         `json:"creditSecondsTotal"`
	ExtraCredits       money.Credits `json:"extraCredits"`
	NewPeriod          bool          `json:"newPeriod"`
}

func showCalculation(p Proration) Calculation {
	return Calculation{
		SecondsLeft: p.Left, SecondsTotal: p.Total, Paid: p.Paid, Price: p.Price, Credit: p.Credit, Charge: p.Charge, Net: p.Net, Currency: Currency,
		CreditSecondsLeft: p.CreditLeft, CreditSecondsTotal: p.CreditTotal, ExtraCredits: p.Extra, NewPeriod: p.Renewed,
	}
}

// ProrationBody is a change of plan as the API shows it.
type ProrationBody struct {
	ID             string    `json:"id"`
	UserID         string    `json:"userId"`
	SubscriptionID string    `json:"subscriptionId"`
	FromTier       string    `json:"fromTier"`
	FromCycle      Cycle     `json:"fromBillingCycle"`
	ToTier         string    `json:"toTier"`
	ToCycle        Cycle     `json:"toBillingCycle"`
	CreatedAt      time.Time `json:"createdAt"`
	Reverses       *string   `json:"reverses" doc:"The change that this one takes back; its extraCredits are below zero"`
	ReversedBy     *string   `json:"reversedBy" doc:"What took this change back"`
	Calculation
}

func showProration(r Record) ProrationBody {
	b := ProrationBody{
		ID: r.ID, UserID: r.UserID, SubscriptionID: r.SubscriptionID, FromTier: r.FromTier, FromCycle: r.FromCycle, ToTier: r.ToTier, ToCycle: r.ToCycle,
		CreatedAt: r.At, Calculation: showCalculation(r.Proration),
	}
	if r.Reverses != "" {
		b.Reverses, b.ExtraCredits = &r.Reverses, -r.Extra
	}
	if r.ReversedBy != "" {
		b.ReversedBy = &r.ReversedBy
	}
	return b
}

type previewOutput struct {
	Body struct {
		When When      `json:"when" enum:"now,period_end"`
		At   time.Time `json:"at"`
		Calculation
		NextInvoice struct {
			Date   time.Time `json:"date"`
			Amount int64     `json:"amount"`
		} `json:"nextInvoice"`
		PreviewToken string    `json:"previewToken"`
		ExpiresAt    time.Time `json:"expiresAt"`
	}
}

func showPreview(p Preview) *previewOutput {
	out := &previewOutput{}
	out.Body.When, out.Body.At, out.Body.Calculation = p.When, p.At, showCalculation(p.Proration)
	out.Body.NextInvoice.Date, out.Body.NextInvoice.Amount = p.Next, p.NextPrice
	out.Body.PreviewToken, out.Body.ExpiresAt = p.Token, p.ExpiresAt
	return out
}

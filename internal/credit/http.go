package credit

import (
	"context"
	"time"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/approval"
	"github.com/rephlo/rephlo/internal/audit"
	"github.com/rephlo/rephlo/internal/list"
	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/web"
)

// API is the JSON endpoints of the ledger.
type API struct {
	Credits  *Service
	Cursors  list.Cursors
	Requests Requests
	Audit    *audit.Log
	// Known returns an error for a user that does not exist.
	Known func(ctx context.Context, user string) error
	// Carries returns how much a user may carry over to the next cycle, and for
	// how many months; nil: nothing.
	Carries func(user string) (most money.Credits, months int)
	// BonusLife is how long a bonus lasts when nothing else is said; nil: 90
	// days.
	BonusLife func() time.Duration
	// Pack returns what a credit pack gives and when that expires, zero for never,
	// or an error for one that does not exist; nil: there are none.
	Pack func(ctx context.Context, packID string) (money.Credits, time.Time, error)
	// Approvals keeps what two administrators have to agree on.
	Approvals *approval.Service

	// Allowance returns what an administrator may give away without an approval;
	// false, and a nil function: everything.
	Allowance func(a access.Actor) (Allowance, bool)

	// Person is for routes of administrators about one person: it checks that
	// there is one and who may see them.
	Person web.Option

	deduction approval.Operation[deduction]
	bonus     approval.Operation[bonus]
}

// Mount registers the routes.
func (a API) Mount(m *web.Mux) {
	web.Route(m, "GET /v1/credits/me", a.me, access.Needs(access.ScopeCredits), web.Doc("Your credits"))
	web.Route(m, "GET /v1/credits/grants", a.grants, access.Needs(access.ScopeCredits), web.Doc("List your grants of credits, newest first"))
	web.Route(m, "GET /v1/credits/ledger", a.ledger, access.Needs(access.ScopeCredits), web.Doc("List what happened to your credits, newest first"))
	a.mountAdmin(m)
}

type meOutput struct{ Body balanceBody }

type balanceBody struct {
	UserID             string        `json:"userId"`
	TotalCredits       money.Credits `json:"totalCredits" doc:"Granted and not expired"`
	UsedCredits        money.Credits `json:"usedCredits" doc:"Charged in this billing period; without one, of totalCredits"`
	RemainingCredits   money.Credits `json:"remainingCredits" doc:"What a new call can use"`
	HeldCredits        money.Credits `json:"heldCredits" doc:"Set aside for open calls"`
	BillingPeriodStart *time.Time    `json:"billingPeriodStart"`
	BillingPeriodEnd   *time.Time    `json:"billingPeriodEnd"`
	UsagePercentage    int64         `json:"usagePercentage" doc:"Used of totalCredits"`
	Buckets            []bucketBody  `json:"buckets" doc:"In the order in which they are used"`
}

type bucketBody struct {
	Source    Source        `json:"source"`
	Remaining money.Credits `json:"remaining"`
	ExpiresAt *time.Time    `json:"expiresAt"`
}

func (a API) me(ctx context.Context, _ *struct{}) (*meOutput, error) {
	actor, err := access.From(ctx)
	if err != nil {
		return nil, err
	}
	return a.show(ctx, actor.UserID)
}

func (a API) show(ctx context.Context, user string) (*meOutput, error) {
	b, err := a.Credits.Balance(ctx, user)
	if err != nil {
		return nil, outage(err)
	}
	used := b.Used
	if !b.Start.IsZero() {
		if used, err = a.Credits.Charged(ctx, user, b.Start); err != nil {
			return nil, outage(err)
		}
	}
	out := balanceBody{
		UserID: user, TotalCredits: b.Granted, UsedCredits: used, RemainingCredits: b.Available, HeldCredits: b.Held,
		BillingPeriodStart: timeOrNull(b.Start), BillingPeriodEnd: timeOrNull(b.End), Buckets: []bucketBody{},
		UsagePercentage: percent(int64(b.Used), int64(b.Granted)),
	}
	for _, k := range b.Buckets {
		out.Buckets = append(out.Buckets, bucketBody{Source: k.Source, Remaining: k.Remaining, ExpiresAt: timeOrNull(k.ExpiresAt)})
	}
	return &meOutput{Body: out}, nil
}

func timeOrNull(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// percent returns how much of total used is, rounded down. The products of
// large amounts would not fit, so both lose their last digits then.
func percent(used, total int64) int64 {
	for total > 1<<56 {
		used, total = used>>8, total>>8
	}
	if total == 0 {
		return 0
	}
	return used * 100 / total
}

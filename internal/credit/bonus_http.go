package credit

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/approval"
	"github.com/rephlo/rephlo/internal/audit"
	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/web"
)

// bonusLife is how long a bonus lasts when nothing else is said.
const bonusLife = 90 * 24 * time.Hour // and no setting

type bonusInput struct {
	OnceInput
	Body struct {
		UserID    string     `json:"userId" minLength:"1" maxLength:"64"`
		Amount    web.Amount `json:"amount,omitzero"`
		PackID    string     `json:"packId,omitempty" maxLength:"64" doc:"Instead of an amount: the credits of this pack, which last as long as bought ones"`
		ExpiresAt *time.Time `json:"expiresAt,omitempty" doc:"Absent: 90 days from now, or as long as the pack lasts"`
		Reason    string     `json:"reason" minLength:"10" maxLength:"500"`
	}
}

type bonusOutput struct {
	Status   int
	Replayed string `header:"Idempotency-Replayed"`
	Body     bonusBody
}

type bonusBody struct {
	GrantID    string          `json:"grantId,omitempty"`
	UserID     string          `json:"userId"`
	Amount     money.Credits   `json:"amount"`
	ApprovalID string          `json:"approvalId,omitempty" doc:"Of a grant beyond your caps, which somebody else has to approve (202)"`
	Status     approval.Status `json:"status,omitempty" enum:"pending,approved,denied,cancelled,expired"`
}

// bonus is what waits for an approval, or is given at once.
type bonus struct {
	UserID    string        `json:"userId"`
	Amount    money.Credits `json:"amount"`
	ExpiresAt *time.Time    `json:"expiresAt"`
	PackID    string        `json:"packId,omitempty"` // whose credits they are; they never expire without ExpiresAt
	Ref       string        `json:"ref"`              // of the ledger: it happens once
}

// errAmount asks for one of two fields.
var errAmount = fault.New(fault.Unprocessable, "validation_error", "Send an amount above 0, or the packId of what to give instead.").At("amount")

// bonusOf is what a request asks to give.
func (a API) bonusOf(ctx context.Context, in *bonusInput, ref string) (b bonus, err error) {
	b = bonus{UserID: in.Body.UserID, Amount: in.Body.Amount.Credits, ExpiresAt: in.Body.ExpiresAt, PackID: in.Body.PackID, Ref: ref}
	if (b.Amount > 0) == (b.PackID != "") {
		return b, errAmount
	}
	switch {
	case b.PackID == "":
		return b, nil
	case a.Pack == nil:
		return b, fault.ErrNotFound
	}
	amount, expires, err := a.Pack(ctx, b.PackID)
	if b.Amount = amount; b.ExpiresAt == nil && !expires.IsZero() {
		b.ExpiresAt = &expires
	}
	return b, err
}

func (a API) grantBonus(ctx context.Context, in *bonusInput) (*bonusOutput, error) {
	actor, ref, err := a.begin(ctx, access.GrantCredits, in.OnceInput, in.Body.UserID)
	if err != nil {
		return nil, err
	}
	out := &bonusOutput{Status: http.StatusCreated}
	if out.Replayed, err = a.replayed(ctx, ref); err != nil {
		return nil, err
	}
	b, err := a.bonusOf(ctx, in, ref)
	if err != nil {
		return nil, err
	}
	bounds, bounded := Allowance{}, false
	if a.Allowance != nil {
		bounds, bounded = a.Allowance(actor)
	}
	out.Body, err = a.giveBonus(ctx, b, in.Body.Reason, "", func(ctx context.Context) error {
		if !bounded {
			return nil
		}
		return a.Credits.spend(ctx, actor.UserID, bounds, b.Amount)
	})
	if errors.Is(err, errBeyond) {
		return a.askBonus(ctx, b, in.Body.Reason)
	}
	return out, err
}

// giveBonus gives b when may allows it, in the transaction that ctx carries or
// in its own.
func (a API) giveBonus(ctx context.Context, b bonus, reason, approvalID string, may func(ctx context.Context) error) (bonusBody, error) {
	actor, err := access.From(ctx)
	if err != nil {
		return bonusBody{}, err
	}
	life := bonusLife
	if a.BonusLife != nil {
		life = a.BonusLife()
	}
	source, expires := Bonus, a.Credits.now().Add(life)
	after := map[string]any{"amount": b.Amount, "ref": b.Ref}
	if b.PackID != "" {
		source, expires, after["packId"] = Pack, time.Time{}, b.PackID
	}
	if b.ExpiresAt != nil {
		expires = *b.ExpiresAt
	}
	if !expires.IsZero() {
		after["expiresAt"] = expires.UTC()
	}
	if approvalID != "" {
		after["approvalId"] = approvalID
	}
	id, err := a.Credits.Grant(ctx, NewGrant{
		User: b.UserID, Source: source, Ref: b.Ref, Amount: b.Amount, ExpiresAt: expires, Actor: actor.UserID, Cause: "admin",
		Then: func(ctx context.Context, id GrantID) error {
			if err := may(ctx); err != nil {
				return err
			}
			after["grantId"] = id.String()
			return a.Audit.Write(ctx, audit.Change{Action: "credits.grant", Type: typeUser, ID: b.UserID, Reason: reason, After: after})
		},
	})
	if err != nil {
		return bonusBody{}, reused(err)
	}
	return bonusBody{GrantID: id.String(), UserID: b.UserID, Amount: b.Amount}, nil
}

// askBonus asks somebody else for a grant beyond what one may give.
func (a API) askBonus(ctx context.Context, b bonus, reason string) (*bonusOutput, error) {
	if err := a.Approvals.CheckFresh(ctx); err != nil {
		return nil, err
	}
	r, err := a.bonus.Ask(ctx, approval.Wish[bonus]{Type: typeUser, For: b.UserID, Person: b.UserID, Reason: reason, Once: b.Ref, Input: b})
	if err != nil {
		return nil, err
	}
	out := &bonusOutput{Status: http.StatusAccepted}
	out.Body = bonusBody{UserID: b.UserID, Amount: b.Amount, ApprovalID: r.ID, Status: r.Status}
	return out, nil
}

// bonuses is the operation of what is beyond the caps.
func (a API) bonuses() approval.Definition[bonus] {
	return approval.Definition[bonus]{
		Name: "credits.grant", Permission: access.GrantCredits,
		Run: func(ctx context.Context, r approval.Request, b bonus) (any, error) {
			if err := a.Known(ctx, b.UserID); err != nil {
				return nil, err
			}
			return a.giveBonus(ctx, b, r.Reason, r.ID, func(context.Context) error { return nil })
		},
	}
}

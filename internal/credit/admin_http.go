package credit

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"time"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/approval"
	"github.com/rephlo/rephlo/internal/audit"
	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/web"
)

// errAmbiguous answers a request id that names several calls.
var errAmbiguous = ErrConflict.Saying("This request id names several calls. Name one by its call id.")

func (a API) mountAdmin(m *web.Mux) {
	a.bonus = approval.Define(a.Approvals, a.bonuses())
	a.deduction = approval.Define(a.Approvals, a.deductions())
	balance, history := access.Allows(access.ViewBalance), access.Allows(access.ViewHistory)
	web.Route(m, "GET /admin/credits/balance/{userId}", a.balanceOf, balance, web.Doc("Show a user's credits"))
	if a.Person != nil {
		web.Route(m, "GET /admin/users/{id}/credits", a.grantsOfPerson, balance, a.Person, web.Doc("List a person's grants of credits, newest first"))
	}
	web.Route(m, "GET /admin/credits/history/{userId}", a.historyOf, history, web.Doc("List a user's ledger, newest first"))
	web.Route(m, "GET /admin/credits/usage/{userId}", a.usageOf, balance, web.Doc("Sum up a user's credits by month"))
	web.Route(m, "GET /admin/credits/rollover/{userId}", a.rolloverOf, history, web.Doc("Show what the end of a user's cycle will carry over"))
	web.Route(m, "GET /admin/credits/holds", a.holds, history, web.Doc("List the open holds, those that were renewed longest ago first"))
	web.Route(m, "GET /admin/credits/reconcile/{userId}", a.reconcile, history, web.Doc("Check a user's part of the ledger"))
	web.Route(m, "POST /admin/credits/grant-bonus", a.grantBonus, access.Allows(access.GrantCredits), web.Once(), web.Also(http.StatusAccepted), web.Status(http.StatusCreated), web.Doc("Give a user credits, or ask for that when it is much"))
	web.Route(m, "POST /admin/credits/deduct", a.deduct, access.Allows(access.Deduct), a.Approvals.Asks(), web.Once(), web.Doc("Ask for credits to be taken from a user"))
	web.Route(m, "PATCH /admin/credits/grants/{id}", a.moveExpiry, access.Allows(access.AdjustExpiry), web.Doc("Move the end of a grant"))
	web.Route(m, "POST /admin/usage/{requestId}/reverse", a.reverse, access.Allows(access.GrantCredits), web.Once(), web.Doc("Give back what a model call was charged"))
}

// UserPath names the user that an administrator asks about.
type UserPath struct {
	UserID string `path:"userId" maxLength:"64"`
}

func (a API) balanceOf(ctx context.Context, in *UserPath) (*meOutput, error) {
	if err := a.Known(ctx, in.UserID); err != nil {
		return nil, err
	}
	return a.show(ctx, in.UserID)
}

type historyInput struct {
	UserPath
	LedgerInput
}

func (a API) historyOf(ctx context.Context, in *historyInput) (*ledgerOutput, error) {
	if err := a.Known(ctx, in.UserID); err != nil {
		return nil, err
	}
	return a.lines(ctx, in.UserID, &in.LedgerInput)
}

type holdsInput struct {
	Limit int `query:"limit" minimum:"1" maximum:"100" default:"20"`
}

type holdsOutput struct {
	Body struct {
		Data []holdBody `json:"data"`
	}
}

type holdBody struct {
	CallID    string        `json:"callId"`
	UserID    string        `json:"userId"`
	Amount    money.Credits `json:"amount"`
	Delivered money.Credits `json:"delivered" doc:"Price of what was delivered so far"`
	RenewedAt time.Time     `json:"renewedAt"`
}

func (a API) holds(ctx context.Context, in *holdsInput) (*holdsOutput, error) {
	holds, err := a.Credits.OpenHolds(ctx, in.Limit)
	if err != nil {
		return nil, outage(err)
	}
	out := &holdsOutput{}
	out.Body.Data = make([]holdBody, 0, len(holds))
	for _, h := range holds {
		out.Body.Data = append(out.Body.Data, holdBody{CallID: h.Call, UserID: h.User, Amount: h.Amount, Delivered: h.Progress, RenewedAt: h.RenewedAt})
	}
	return out, nil
}

type reconcileOutput struct {
	Body struct {
		UserID     string        `json:"userId"`
		Ledger     money.Credits `json:"ledger" doc:"The sum of all lines"`
		Balance    money.Credits `json:"balance" doc:"What the grants have left"`
		Difference money.Credits `json:"difference"`
	}
}

func (a API) reconcile(ctx context.Context, in *UserPath) (*reconcileOutput, error) {
	if err := a.Known(ctx, in.UserID); err != nil {
		return nil, err
	}
	ledger, balance, err := a.Credits.Reconcile(ctx, in.UserID)
	if err != nil {
		return nil, outage(err)
	}
	out := &reconcileOutput{}
	out.Body.UserID, out.Body.Ledger, out.Body.Balance, out.Body.Difference = in.UserID, ledger, balance, balance-ledger
	return out, nil
}

// OnceInput is what every change needs: a key under which it happens once.
type OnceInput struct {
	Key string `header:"Idempotency-Key" maxLength:"255"`
}

// ref names the effect of a change, so that it happens once.
func (o OnceInput) ref(actor access.Actor) (string, error) {
	if o.Key == "" {
		return "", web.ErrKeyRequired
	}
	sum := sha256.Sum256([]byte(actor.UserID + "\x00" + o.Key))
	return "adm:" + hex.EncodeToString(sum[:16]), nil
}

// replayed is a header that says that a repeated request changed nothing.
func (a API) replayed(ctx context.Context, ref string) (string, error) {
	again, err := a.Credits.Happened(ctx, ref)
	if err != nil || !again {
		return "", outage(err)
	}
	return "true", nil
}

// reused turns a conflict of references into what it means to the client.
func reused(err error) error {
	if errors.Is(err, ErrConflict) {
		return web.ErrKeyReuse.Because(err)
	}
	return outage(err)
}

// begin checks who asks, under which key, and for whom.
func (a API) begin(ctx context.Context, p access.Permission, once OnceInput, user string) (access.Actor, string, error) {
	actor, err := access.Admin(ctx, p)
	if err != nil {
		return actor, "", err
	}
	ref, err := once.ref(actor)
	if err != nil {
		return actor, "", err
	}
	return actor, ref, a.Known(ctx, user)
}

// What administrators change, in the words of the audit log.
const (
	typeUser  = "user"
	typeGrant = "grant"
	typeCall  = "call"
)

type expiryInput struct {
	ID   string `path:"id" maxLength:"32"`
	Body struct {
		ExpiresAt *time.Time `json:"expiresAt" doc:"null: never"`
		Reason    string     `json:"reason" minLength:"10" maxLength:"500"`
	}
}

type expiryOutput struct {
	Body struct {
		ID        string     `json:"id"`
		ExpiresAt *time.Time `json:"expiresAt"`
	}
}

func (a API) moveExpiry(ctx context.Context, in *expiryInput) (*expiryOutput, error) {
	id, ok := ParseGrantID(in.ID)
	if !ok {
		return nil, ErrNoGrant
	}
	var at time.Time
	if in.Body.ExpiresAt != nil {
		at = *in.Body.ExpiresAt
	}
	err := a.Credits.db.InTx(ctx, func(ctx context.Context) error {
		was, err := a.Credits.expiry(ctx, id)
		if err != nil {
			return err
		}
		if err := a.Credits.SetExpiry(ctx, id, at); err != nil {
			return err
		}
		return a.Audit.Write(ctx, audit.Change{
			Action: "credits.adjust_expiration", Type: typeGrant, ID: in.ID, Reason: in.Body.Reason,
			Before: map[string]any{"expiresAt": timeOrNull(was)}, After: map[string]any{"expiresAt": timeOrNull(at.UTC())},
		})
	})
	if err != nil {
		return nil, outage(err)
	}
	out := &expiryOutput{}
	out.Body.ID, out.Body.ExpiresAt = in.ID, timeOrNull(at.UTC())
	return out, nil
}

type reverseInput struct {
	OnceInput
	RequestID string `path:"requestId" maxLength:"64" doc:"The id of the call, or of a request that was one call"`
	Body      struct {
		Reason string `json:"reason" minLength:"10" maxLength:"500"`
	}
}

type reverseOutput struct {
	Replayed string `header:"Idempotency-Replayed"`
	Body     struct {
		CallID   string        `json:"callId"`
		Returned money.Credits `json:"returned"`
	}
}

func (a API) reverse(ctx context.Context, in *reverseInput) (*reverseOutput, error) {
	actor, err := access.Admin(ctx, access.GrantCredits)
	if err != nil {
		return nil, err
	}
	if _, err := in.ref(actor); err != nil {
		return nil, err // the call itself is what happens once
	}
	call, err := a.oneCall(ctx, in.RequestID)
	if err != nil {
		return nil, err
	}
	out := &reverseOutput{}
	var back money.Credits
	err = a.Credits.db.InTx(ctx, func(ctx context.Context) (err error) {
		if out.Replayed, err = a.replayed(ctx, reversalPrefix+call); err != nil {
			return err
		}
		if back, err = a.Credits.Reverse(ctx, call, actor.UserID); err != nil || out.Replayed != "" {
			return err
		}
		return a.Audit.Write(ctx, audit.Change{
			Action: "usage.reverse", Type: typeCall, ID: call, Reason: in.Body.Reason, After: map[string]any{"returned": back},
		})
	})
	if err != nil {
		return nil, outage(err)
	}
	out.Body.CallID, out.Body.Returned = call, back
	return out, nil
}

// oneCall returns the only call that id names: a caller chooses its request ids
// and may use one again.
func (a API) oneCall(ctx context.Context, id string) (string, error) {
	calls, err := a.Requests.CallsOf(ctx, id)
	switch {
	case err != nil:
		return "", outage(err)
	case len(calls) == 0:
		return "", ErrNothingCharged
	case len(calls) > 1:
		return "", errAmbiguous.With("callIds", calls)
	}
	return calls[0], nil
}

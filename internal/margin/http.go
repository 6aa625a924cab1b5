package margin

import (
	"context"
	"net/http"
	"time"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/approval"
	"github.com/rephlo/rephlo/internal/list"
	"github.com/rephlo/rephlo/internal/web"
)

// AdminAPI lets administrators write the rules.
type AdminAPI struct {
	Margins   *Service
	Approvals *approval.Service
	Cursors   list.Cursors

	operation approval.Operation[edit]
}

// Mount registers the routes.
func (a AdminAPI) Mount(m *web.Mux) {
	a.operation = approval.Define(a.Approvals, approval.Definition[edit]{
		Name: "pricing.rule", Permission: access.EditPrices,
		Check: func(ctx context.Context, _ approval.Request, e edit) error {
			_, err := a.Margins.plan(ctx, e)
			return err
		},
		Run: func(ctx context.Context, r approval.Request, e edit) (any, error) {
			if err := mayApprove(ctx); err != nil {
				return nil, err
			}
			if e.From.Before(a.Margins.Now()) { // the decision took its time
				e.From = time.Time{}
			}
			e.Reason, e.By = r.Reason, r.By
			rule, err := a.Margins.do(ctx, e, true)
			return show(rule), err
		},
	})
	view, edits := access.Allows(access.ViewPrices), access.Allows(access.EditPrices)
	web.Route(m, "GET /admin/pricing/configs", a.list, view, web.Doc("List the rules that turn vendors' prices into people's, newest first"))
	web.Route(m, "POST /admin/pricing/configs", a.set, edits, web.Also(http.StatusAccepted), web.Status(http.StatusCreated), web.Doc("Write a rule; a large change waits for a second person"))
	web.Route(m, "PATCH /admin/pricing/configs/{id}", a.bound, edits, web.Also(http.StatusAccepted), web.Doc("Set when a rule ends; a large change waits for a second person"))
	web.Route(m, "POST /admin/pricing/configs/{id}/end", a.end, edits, web.Also(http.StatusAccepted), web.Doc("End a rule now; a large change waits for a second person"))
}

// Body is a rule as the API shows it.
type Body struct {
	ID             string     `json:"id"`
	Tier           string     `json:"tier" doc:"Empty: any, as for the others"`
	Provider       string     `json:"providerId"`
	Model          string     `json:"modelId"`
	MultiplierBP   int64      `json:"multiplierBp" doc:"What the vendor asks is multiplied by this, in 1/10,000"`
	EffectiveFrom  time.Time  `json:"effectiveFrom"`
	EffectiveUntil *time.Time `json:"effectiveUntil"`
	Reason         string     `json:"reason"`
	CreatedBy      string     `json:"createdBy"`
	CreatedAt      time.Time  `json:"createdAt"`
}

func show(r Rule) Body {
	b := Body{
		ID: r.ID, Tier: r.Tier, Provider: r.Provider, Model: r.Model, MultiplierBP: r.Multiplier, EffectiveFrom: r.From.UTC(),
		Reason: r.Reason, CreatedBy: r.Author, CreatedAt: r.At.UTC(),
	}
	if !r.Until.IsZero() {
		until := r.Until.UTC()
		b.EffectiveUntil = &until
	}
	return b
}

type listInput struct {
	Limit    int    `query:"limit" minimum:"1" maximum:"100" default:"20"`
	Cursor   string `query:"cursor" maxLength:"500"`
	Tier     string `query:"tier" maxLength:"64"`
	Provider string `query:"provider" maxLength:"64"`
	Model    string `query:"model_id" maxLength:"100"`
	Active   bool   `query:"active" doc:"Only rules that hold now or will"`
}

type listOutput struct{ Body list.Page[Body] }

func (a AdminAPI) list(ctx context.Context, in *listInput) (*listOutput, error) {
	f := Filter{Scope: Scope{in.Tier, in.Provider, in.Model}, Active: in.Active}
	name := "margin rules " + in.Tier + " " + in.Provider + " " + in.Model
	page, err := list.Make(a.Cursors, name, in.Cursor, in.Limit, show, func(r Rule) string { return r.ID },
		func(before string, limit int) ([]Rule, error) { return a.Margins.List(ctx, f, before, limit) })
	return &listOutput{page}, err
}

type setInput struct {
	Body struct {
		Tier         string    `json:"tier,omitempty" maxLength:"64"`
		Provider     string    `json:"providerId,omitempty" maxLength:"64"`
		Model        string    `json:"modelId,omitempty" maxLength:"100"`
		MultiplierBP int64     `json:"multiplierBp" minimum:"1" maximum:"100000" doc:"In 1/10,000; below 10000 a second person must agree"`
		From         time.Time `json:"effectiveFrom,omitzero" required:"false" doc:"Default: now"`
		Until        time.Time `json:"effectiveUntil,omitzero" required:"false" doc:"Default: until somebody ends it"`
		Reason       string    `json:"reason" minLength:"10" maxLength:"500"`
	}
}

type changeOutput struct {
	Status int
	Body   changeBody
}

// changeBody is the rule as it is, or as it was while a change waits.
type changeBody struct {
	Rule       *Body           `json:"rule" doc:"null while a second person has to agree (202)"`
	ApprovalID string          `json:"approvalId,omitempty"`
	Status     approval.Status `json:"status,omitempty" enum:"pending,approved,denied,cancelled,expired"`
}

func (a AdminAPI) set(ctx context.Context, in *setInput) (*changeOutput, error) {
	b := in.Body
	return a.change(ctx, http.StatusCreated, b.Reason, edit{Tier: b.Tier, Provider: b.Provider, Model: b.Model, Multiplier: b.MultiplierBP, From: b.From, Until: b.Until})
}

type boundInput struct {
	ID   string `path:"id" maxLength:"64"`
	Body struct {
		Until  time.Time `json:"effectiveUntil"`
		Reason string    `json:"reason" minLength:"10" maxLength:"500"`
	}
}

func (a AdminAPI) bound(ctx context.Context, in *boundInput) (*changeOutput, error) {
	return a.change(ctx, http.StatusOK, in.Body.Reason, edit{RuleID: in.ID, Until: in.Body.Until})
}

type endInput struct {
	ID   string `path:"id" maxLength:"64"`
	Body struct {
		Reason string `json:"reason" minLength:"10" maxLength:"500"`
	}
}

func (a AdminAPI) end(ctx context.Context, in *endInput) (*changeOutput, error) {
	return a.change(ctx, http.StatusOK, in.Body.Reason, edit{RuleID: in.ID, Now: true})
}

// change makes a change, or asks a second person to agree.
func (a AdminAPI) change(ctx context.Context, done int, reason string, e edit) (*changeOutput, error) {
	actor, err := access.From(ctx)
	if err != nil {
		return nil, err
	}
	e.By, e.Reason = actor.UserID, reason
	w, err := a.Margins.plan(ctx, e)
	if err != nil {
		return nil, err
	}
	if w.large {
		if err := a.Approvals.CheckFresh(ctx); err != nil {
			return nil, err
		}
		r, err := a.operation.Ask(ctx, approval.Wish[edit]{Type: "margin_rule", For: e.RuleID, Reason: reason, Input: e})
		if err != nil {
			return nil, err
		}
		return &changeOutput{http.StatusAccepted, changeBody{ApprovalID: r.ID, Status: r.Status}}, nil
	}
	rule, err := a.Margins.do(ctx, e, false)
	if err != nil {
		return nil, err
	}
	shown := show(rule)
	return &changeOutput{done, changeBody{Rule: &shown}}, nil
}

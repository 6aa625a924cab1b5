package catalog

import (
	"context"
	"net/http"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/list"
	"github.com/rephlo/rephlo/internal/web"
)

func (a AdminAPI) mountAccess(m *web.Mux) {
	view, edit := access.Allows(access.ViewModels), access.Allows(access.EditModels)
	web.Route(m, "GET /admin/models/tiers", a.listAccess, view, web.Doc("List who may call which model"))
	web.Route(m, "PATCH /admin/models/{id}/tier", a.setAccess, edit, web.Doc("Say who may call a model"))
	web.Route(m, "POST /admin/models/tiers/bulk", a.bulkAccess, edit, web.Doc("Say who may call several models"))
	web.Route(m, "GET /admin/models/tiers/audit-logs", a.accessHistory, view, web.Doc("List the changes of who may call what, newest first"))
	web.Route(m, "POST /admin/models/tiers/revert/{auditLogId}", a.revertAccess, edit, web.Status(http.StatusOK), web.Doc("Take such a change back"))
}

// AccessInput says who may call a model.
type AccessInput struct {
	Required string     `json:"requiredTier,omitempty" maxLength:"40" doc:"For the modes minimum and exact"`
	Mode     AccessMode `json:"tierRestrictionMode" enum:"minimum,exact,whitelist"`
	Allowed  []string   `json:"allowedTiers,omitempty" maxItems:"20" doc:"For the mode whitelist"`
}

func (in AccessInput) access() Access {
	if in.Mode == AccessWhitelist {
		return Access{Mode: in.Mode, Tiers: in.Allowed}
	}
	return Access{Mode: in.Mode, Tier: in.Required}
}

// shownAccess is who may call a model, as answers say it.
type shownAccess struct {
	ModelID  string     `json:"modelId"`
	Required string     `json:"requiredTier"`
	Mode     AccessMode `json:"tierRestrictionMode"`
	Allowed  []string   `json:"allowedTiers" doc:"All tiers that may call it"`
}

func (a AdminAPI) shownAccess(e Entry) shownAccess {
	return shownAccess{e.ID, e.Access.Tier, e.Access.Mode, e.Access.Required(a.Models.needs.Tiers)}
}

type accessListOutput struct{ Body list.Page[shownAccess] }

func (a AdminAPI) listAccess(ctx context.Context, in *PageInput) (*accessListOutput, error) {
	all, err := a.Models.Entries(ctx)
	if err != nil {
		return nil, err
	}
	shown := make([]shownAccess, 0, len(all))
	for _, e := range all {
		shown = append(shown, a.shownAccess(e))
	}
	body, err := page(a.Cursors, "model tiers", shown, *in, func(s shownAccess) string { return s.ModelID })
	return &accessListOutput{Body: body}, err
}

type setAccessInput struct {
	ModelPath
	Match string `header:"If-Match" maxLength:"64"`
	Body  struct {
		AccessInput
		Reason string `json:"reason" minLength:"10" maxLength:"500"`
	}
}

type accessOutput struct {
	ETag string `header:"ETag"`
	Body shownAccess
}

func (a AdminAPI) setAccess(ctx context.Context, in *setAccessInput) (*accessOutput, error) {
	who, err := by(ctx, in.Body.Reason, in.Match)
	if err != nil {
		return nil, err
	}
	e, err := a.Models.SetAccess(ctx, in.ID, in.Body.access(), who)
	if err != nil {
		return nil, err
	}
	return &accessOutput{ETag: ETag(e.Version), Body: a.shownAccess(e)}, nil
}

type bulkAccessInput struct {
	Body struct {
		ModelIDs []string `json:"modelIds" minItems:"1" maxItems:"50"`
		AccessInput
		DryRun bool   `json:"dryRun,omitempty" doc:"Only say what would change"`
		Reason string `json:"reason" minLength:"10" maxLength:"500"`
	}
}

type bulkAccessOutput struct {
	Body struct {
		DryRun bool          `json:"dryRun"`
		Before []shownAccess `json:"before"`
		After  []shownAccess `json:"after"`
	}
}

func (a AdminAPI) bulkAccess(ctx context.Context, in *bulkAccessInput) (*bulkAccessOutput, error) {
	who, err := by(ctx, in.Body.Reason, "")
	if err != nil {
		return nil, err
	}
	before, after, err := a.Models.SetAccesses(ctx, in.Body.ModelIDs, in.Body.access(), in.Body.DryRun, who)
	if err != nil {
		return nil, err
	}
	out := &bulkAccessOutput{}
	out.Body.DryRun, out.Body.Before, out.Body.After = in.Body.DryRun, []shownAccess{}, []shownAccess{}
	for i := range before {
		out.Body.Before = append(out.Body.Before, a.shownAccess(before[i]))
		out.Body.After = append(out.Body.After, a.shownAccess(after[i]))
	}
	return out, nil
}

func (a AdminAPI) accessHistory(ctx context.Context, in *PageInput) (*eventsOutput, error) {
	return a.events(ctx, kindAccess, "", *in)
}

type revertInput struct {
	ID string `path:"auditLogId" maxLength:"64"`
	WhyInput
}

func (a AdminAPI) revertAccess(ctx context.Context, in *revertInput) (*accessOutput, error) {
	who, err := by(ctx, in.Body.Reason, "")
	if err != nil {
		return nil, err
	}
	e, err := a.Models.RevertAccess(ctx, in.ID, who)
	if err != nil {
		return nil, err
	}
	return &accessOutput{ETag: ETag(e.Version), Body: a.shownAccess(e)}, nil
}

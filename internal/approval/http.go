package approval

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/list"
	"github.com/rephlo/rephlo/internal/web"
)

// freshFactor is how long ago the sign-in may be of who asks for what needs an
// approval, or decides.
const freshFactor = 5 * time.Minute

// Asks is for routes that only ask: who uses them signed in a moment ago, and is
// answered 202.
func (s *Service) Asks() web.Option {
	return web.All(s.Fresh(), web.Status(http.StatusAccepted))
}

// Fresh lets only people through who signed in, with their second factor, a
// moment ago.
func (s *Service) Fresh() web.Option { return access.Recent(freshFactor, s.Now) }

// CheckFresh is what Fresh demands, for a request of which only some need it.
func (s *Service) CheckFresh(ctx context.Context) error {
	return access.CheckRecent(ctx, freshFactor, s.Now())
}

// PendingOutput answers who asked for what somebody else has to approve.
type PendingOutput struct {
	Body struct {
		ApprovalID string `json:"approvalId"`
		Status     Status `json:"status" enum:"pending,approved,denied,cancelled,expired"`
	}
}

// Answer is the answer to who asked for r.
func (s *Service) Answer(r Request, err error) (*PendingOutput, error) {
	if err != nil {
		return nil, err
	}
	out := &PendingOutput{}
	out.Body.ApprovalID, out.Body.Status = r.ID, r.state(s.Now())
	return out, nil
}

// AdminAPI lets administrators decide on what others asked for.
type AdminAPI struct {
	Approvals *Service
	Cursors   list.Cursors
}

// Mount registers the routes.
func (a AdminAPI) Mount(m *web.Mux) {
	view, fresh := access.Allows(access.ViewApprovals), a.Approvals.Fresh()
	decide := web.All(access.Allows(access.DecideApprovals), fresh)
	web.Route(m, "GET /admin/approvals", a.list, view, web.Doc("List what was asked for, newest first"))
	web.Route(m, "GET /admin/approvals/{id}", a.one, view, web.Doc("Show what was asked for"))
	web.Route(m, "POST /admin/approvals/{id}/approve", a.decide(a.Approvals.Approve), decide, web.Doc("Do what somebody else asked for"))
	web.Route(m, "POST /admin/approvals/{id}/deny", a.decide(a.Approvals.Deny), decide, web.Doc("Refuse what somebody asked for"))
	web.Route(m, "POST /admin/approvals/{id}/cancel", a.decide(a.Approvals.Cancel), access.Allows(access.AnyRole), web.Doc("Withdraw what you asked for"))
}

type requestBody struct {
	ID          string            `json:"id"`
	Operation   string            `json:"operation"`
	Permission  access.Permission `json:"permission" doc:"Needed by who decides, beside approvals.decide"`
	Status      Status            `json:"status" enum:"pending,approved,denied,cancelled,expired"`
	TargetType  string            `json:"targetType"`
	TargetID    string            `json:"targetId"`
	Request     any               `json:"request" doc:"What runs when it is approved"`
	Reason      string            `json:"reason"`
	RequestedBy string            `json:"requestedBy"`
	RequestedAt time.Time         `json:"requestedAt"`
	ExpiresAt   time.Time         `json:"expiresAt"`
	DecidedBy   *string           `json:"decidedBy"`
	DecidedAt   *time.Time        `json:"decidedAt"`
	Note        *string           `json:"note"`
	Result      any               `json:"result" doc:"What the operation answered"`
}

func (a AdminAPI) show(r Request) requestBody {
	b := requestBody{
		ID: r.ID, Operation: r.Operation, Permission: r.Permission, Status: r.state(a.Approvals.Now()), TargetType: r.Type, TargetID: r.For,
		Request: raw(r.Input), Reason: r.Reason, RequestedBy: r.By, RequestedAt: r.At, ExpiresAt: r.ExpiresAt, Result: raw(r.Result),
	}
	if r.DecidedBy != "" {
		b.DecidedBy, b.DecidedAt, b.Note = &r.DecidedBy, &r.DecidedAt, &r.Note
	}
	return b
}

// raw is JSON inside of an answer; nothing is null.
func raw(text json.RawMessage) any {
	if len(text) == 0 {
		return nil
	}
	return text
}

type listInput struct {
	Status    string `query:"status" enum:"pending,approved,denied,cancelled,expired"`
	Operation string `query:"operation" maxLength:"64"`
	Limit     int    `query:"limit" minimum:"1" maximum:"100" default:"20"`
	Cursor    string `query:"cursor" maxLength:"500"`
}

type listOutput struct{ Body list.Page[requestBody] }

func (a AdminAPI) list(ctx context.Context, in *listInput) (*listOutput, error) {
	page, err := list.Make(a.Cursors, "approvals", in.Cursor, in.Limit, a.show, func(r Request) string { return r.ID },
		func(before string, limit int) ([]Request, error) {
			return a.Approvals.List(ctx, Filter{Status: Status(in.Status), Operation: in.Operation, Below: before}, limit)
		})
	return &listOutput{page}, err
}

type oneInput struct {
	ID string `path:"id" maxLength:"64"`
}

type oneOutput struct{ Body requestBody }

func (a AdminAPI) one(ctx context.Context, in *oneInput) (*oneOutput, error) {
	r, err := a.Approvals.ByID(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return &oneOutput{a.show(r)}, nil
}

type decideInput struct {
	ID   string `path:"id" maxLength:"64"`
	Body struct {
		Note string `json:"note,omitempty" maxLength:"500" doc:"Needed when you are the only one who could decide"`
	}
}

// decide is the handler of a decision.
func (a AdminAPI) decide(do func(ctx context.Context, requestID, note string) (Request, error)) func(context.Context, *decideInput) (*oneOutput, error) {
	return func(ctx context.Context, in *decideInput) (*oneOutput, error) {
		r, err := do(ctx, in.ID, in.Body.Note)
		if err != nil {
			return nil, err
		}
		return &oneOutput{a.show(r)}, nil
	}
}

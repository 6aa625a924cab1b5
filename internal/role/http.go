package role

import (
	"context"
	"net/http"
	"time"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/web"
)

// AdminAPI lets administrators see and change who may do what.
type AdminAPI struct {
	Roles *Service
	// Waiting counts the approvals that wait for somebody: for their decision,
	// and those that they asked for; nil: there are none.
	Waiting func(ctx context.Context, a access.Actor) (toDecide, own int, err error)
	// Left returns what somebody who may grant credits gives away without an
	// approval; nil has no bounds.
	Left func(ctx context.Context, a access.Actor) (*GrantsLeft, error)
}

// GrantsLeft is what somebody may give away alone: with one grant, today, and
// this month (UTC).
type GrantsLeft struct {
	Grant money.Credits `json:"perGrant"`
	Day   money.Credits `json:"today"`
	Month money.Credits `json:"thisMonth"`
}

// freshFactor is how long ago the sign-in may be of who changes rights.
const freshFactor = 5 * time.Minute

// Mount registers the routes.
func (a AdminAPI) Mount(m *web.Mux) {
	recent := access.Recent(freshFactor, a.Roles.Now)
	a.mountNetworks(m, recent)
	view, assign := access.Allows(access.ViewRoles), web.All(access.Allows(access.AssignRoles), recent)
	web.Route(m, "GET /admin/me", a.me, access.Allows(access.AnyRole), web.Doc("Show your own roles and permissions"))
	web.Route(m, "GET /admin/permissions", a.permissions, view, web.Doc("List all permissions and the roles of the system that hold them"))
	web.Route(m, "GET /admin/users/{id}/roles", a.assignments, view, web.Doc("List the roles of a person"))
	web.Route(m, "POST /admin/users/{id}/roles", a.assign, assign, web.Status(http.StatusCreated), web.Doc("Give a person a role"))
	web.Route(m, "DELETE /admin/users/{id}/roles/{assignmentId}", a.remove, assign, web.Doc("Take a role from a person"))
	web.Route(m, "GET /admin/users/{id}/overrides", a.overrides, view, web.Doc("List the permissions that were granted to or revoked from a person"))
	web.Route(m, "POST /admin/users/{id}/overrides", a.override, assign, web.Status(http.StatusCreated), web.Doc("Grant a person a permission or revoke one"))
	web.Route(m, "DELETE /admin/users/{id}/overrides/{overrideId}", a.endOverride, assign, web.Doc("End an override"))
	web.Route(m, "GET /admin/roles", a.list, view, web.Doc("List the roles"))
	web.Route(m, "POST /admin/roles", a.define, access.Allows(access.CreateRoles), recent, web.Status(http.StatusCreated), web.Doc("Define a role"))
	web.Route(m, "GET /admin/roles/{id}", a.one, view, web.Doc("Show a role"))
	web.Route(m, "PATCH /admin/roles/{id}", a.redefine, access.Allows(access.EditRoles), recent, web.Doc("Change a role"))
	web.Route(m, "DELETE /admin/roles/{id}", a.undefine, access.Allows(access.DeleteRoles), recent, web.Doc("Delete a role that nobody has"))
}

type waitingBody struct {
	ToDecide int `json:"toDecide" doc:"What others asked for and you may decide"`
	Own      int `json:"own" doc:"What you asked for"`
}

type adminMeOutput struct {
	Body struct {
		UserID      string              `json:"userId"`
		Roles       []string            `json:"roles"`
		Permissions []access.Permission `json:"permissions"`
		IdleLimit   int64               `json:"idleLimitSeconds" doc:"After so long without a request a new sign-in is needed"`
		Approvals   waitingBody         `json:"pendingApprovals"`
		GrantsLeft  *GrantsLeft         `json:"grantCapsLeft" doc:"Credits that you give away alone; null: no bounds, or you may not grant any"`
	}
}

func (a AdminAPI) me(ctx context.Context, _ *struct{}) (*adminMeOutput, error) {
	actor, err := access.From(ctx)
	if err != nil {
		return nil, err
	}
	out := &adminMeOutput{}
	out.Body.UserID, out.Body.Roles = actor.UserID, append([]string{}, actor.Roles...)
	out.Body.Permissions = append([]access.Permission{}, actor.Permissions()...)
	out.Body.IdleLimit = int64(IdleLimit(actor.Roles) / time.Second)
	if a.Waiting != nil {
		if out.Body.Approvals.ToDecide, out.Body.Approvals.Own, err = a.Waiting(ctx, actor); err != nil {
			return nil, err
		}
	}
	if a.Left != nil && actor.May(access.GrantCredits) {
		out.Body.GrantsLeft, err = a.Left(ctx, actor)
	}
	return out, err
}

type permissionBody struct {
	Name  access.Permission `json:"name"`
	Roles []string          `json:"roles" doc:"Of the system, that hold it"`
}

type permissionsOutput struct {
	Body struct {
		Data []permissionBody `json:"data"`
	}
}

func (a AdminAPI) permissions(context.Context, *struct{}) (*permissionsOutput, error) {
	out := &permissionsOutput{}
	for _, p := range access.Permissions() {
		b := permissionBody{Name: p}
		for _, role := range access.SystemRoles() {
			if access.NewRights([]string{role}, nil, nil).Has(p) {
				b.Roles = append(b.Roles, role)
			}
		}
		out.Body.Data = append(out.Body.Data, b)
	}
	return out, nil
}

type historyInput struct {
	ID      string `path:"id" maxLength:"64"`
	History bool   `query:"history" doc:"Ended ones too"`
}

type assignmentBody struct {
	ID        string     `json:"id"`
	UserID    string     `json:"userId"`
	RoleID    string     `json:"roleId"`
	Active    bool       `json:"active"`
	Reason    string     `json:"reason"`
	GrantedBy string     `json:"grantedBy"`
	CreatedAt time.Time  `json:"createdAt"`
	ExpiresAt *time.Time `json:"expiresAt"`
	EndedAt   *time.Time `json:"endedAt"`
	EndedBy   *string    `json:"endedBy"`
}

func (a AdminAPI) showAssignment(v Assignment) assignmentBody {
	return assignmentBody{
		ID: v.ID, UserID: v.UserID, RoleID: v.RoleID, Active: v.Active(a.Roles.Now()), Reason: v.Reason, GrantedBy: v.By, CreatedAt: v.At,
		ExpiresAt: timeOrNull(v.ExpiresAt), EndedAt: timeOrNull(v.EndedAt), EndedBy: textOrNull(v.EndedBy),
	}
}

func timeOrNull(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func textOrNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func timeOf(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}

type assignmentsOutput struct {
	Body struct {
		Data []assignmentBody `json:"data"`
	}
}

// known returns an error for a person who does not exist.
func (a AdminAPI) known(ctx context.Context, userID string) error {
	_, err := a.Roles.Usable(ctx, userID)
	return err
}

func (a AdminAPI) assignments(ctx context.Context, in *historyInput) (*assignmentsOutput, error) {
	if err := a.known(ctx, in.ID); err != nil {
		return nil, err
	}
	list, err := a.Roles.Assignments(ctx, in.ID, in.History)
	if err != nil {
		return nil, err
	}
	out := &assignmentsOutput{}
	out.Body.Data = []assignmentBody{}
	for _, v := range list {
		out.Body.Data = append(out.Body.Data, a.showAssignment(v))
	}
	return out, nil
}

type assignRoleInput struct {
	ID   string `path:"id" maxLength:"64"`
	Body struct {
		RoleID    string     `json:"roleId" minLength:"1" maxLength:"64"`
		ExpiresAt *time.Time `json:"expiresAt,omitempty"`
		Reason    string     `json:"reason" minLength:"10" maxLength:"500"`
	}
}

type assignRoleOutput struct {
	Location string `header:"Location"`
	Body     assignmentBody
}

func (a AdminAPI) assign(ctx context.Context, in *assignRoleInput) (*assignRoleOutput, error) {
	o, err := order(ctx, in.ID, in.Body.Reason, in.Body.ExpiresAt)
	if err != nil {
		return nil, err
	}
	v, err := a.Roles.Assign(ctx, o, in.Body.RoleID)
	if err != nil {
		return nil, err
	}
	return &assignRoleOutput{Location: "/admin/users/" + v.UserID + "/roles/" + v.ID, Body: a.showAssignment(v)}, nil
}

// order is what the one who asks orders.
func order(ctx context.Context, userID, reason string, expires *time.Time) (Order, error) {
	actor, err := access.From(ctx)
	return Order{By: actor, UserID: userID, Reason: reason, ExpiresAt: timeOf(expires)}, err
}

type removeRoleInput struct {
	ID           string `path:"id" maxLength:"64"`
	AssignmentID string `path:"assignmentId" maxLength:"64"`
	Reason       string `query:"reason" required:"true" minLength:"10" maxLength:"500"`
}

func (a AdminAPI) remove(ctx context.Context, in *removeRoleInput) (*struct{}, error) {
	o, err := order(ctx, in.ID, in.Reason, nil)
	if err != nil {
		return nil, err
	}
	return nil, a.Roles.Remove(ctx, o, in.AssignmentID)
}

type overrideBody struct {
	ID         string            `json:"id"`
	UserID     string            `json:"userId"`
	Permission access.Permission `json:"permission"`
	Effect     Effect            `json:"effect" enum:"grant,revoke"`
	Active     bool              `json:"active"`
	Reason     string            `json:"reason"`
	CreatedBy  string            `json:"createdBy"`
	CreatedAt  time.Time         `json:"createdAt"`
	ExpiresAt  *time.Time        `json:"expiresAt"`
	EndedAt    *time.Time        `json:"endedAt"`
	EndedBy    *string           `json:"endedBy"`
}

func (a AdminAPI) showOverride(v Override) overrideBody {
	return overrideBody{
		ID: v.ID, UserID: v.UserID, Permission: v.Permission, Effect: v.Effect, Active: v.Active(a.Roles.Now()), Reason: v.Reason, CreatedBy: v.By,
		CreatedAt: v.At, ExpiresAt: timeOrNull(v.ExpiresAt), EndedAt: timeOrNull(v.EndedAt), EndedBy: textOrNull(v.EndedBy),
	}
}

type overridesOutput struct {
	Body struct {
		Data []overrideBody `json:"data"`
	}
}

func (a AdminAPI) overrides(ctx context.Context, in *historyInput) (*overridesOutput, error) {
	if err := a.known(ctx, in.ID); err != nil {
		return nil, err
	}
	list, err := a.Roles.Overrides(ctx, in.ID, in.History)
	if err != nil {
		return nil, err
	}
	out := &overridesOutput{}
	out.Body.Data = []overrideBody{}
	for _, v := range list {
		out.Body.Data = append(out.Body.Data, a.showOverride(v))
	}
	return out, nil
}

type overrideInput struct {
	ID   string `path:"id" maxLength:"64"`
	Body struct {
		Permission access.Permission `json:"permission" minLength:"1" maxLength:"64"`
		Effect     Effect            `json:"effect" enum:"grant,revoke"`
		ExpiresAt  *time.Time        `json:"expiresAt,omitempty"`
		Reason     string            `json:"reason" minLength:"10" maxLength:"500"`
	}
}

type overrideOutput struct {
	Location string `header:"Location"`
	Body     overrideBody
}

func (a AdminAPI) override(ctx context.Context, in *overrideInput) (*overrideOutput, error) {
	o, err := order(ctx, in.ID, in.Body.Reason, in.Body.ExpiresAt)
	if err != nil {
		return nil, err
	}
	v, err := a.Roles.Override(ctx, o, in.Body.Permission, in.Body.Effect)
	if err != nil {
		return nil, err
	}
	return &overrideOutput{Location: "/admin/users/" + v.UserID + "/overrides/" + v.ID, Body: a.showOverride(v)}, nil
}

type endOverrideInput struct {
	ID         string `path:"id" maxLength:"64"`
	OverrideID string `path:"overrideId" maxLength:"64"`
	Reason     string `query:"reason" required:"true" minLength:"10" maxLength:"500"`
}

func (a AdminAPI) endOverride(ctx context.Context, in *endOverrideInput) (*struct{}, error) {
	o, err := order(ctx, in.ID, in.Reason, nil)
	if err != nil {
		return nil, err
	}
	return nil, a.Roles.EndOverride(ctx, o, in.OverrideID)
}

package access

import (
	"context"
	"slices"

	"github.com/rephlo/rephlo/internal/fault"
)

// Permission is the right to one kind of administration.
type Permission string

// The permissions that routes ask for.
const (
	ViewBalance  Permission = "credits.view_balance"
	ViewHistory  Permission = "credits.view_history"
	GrantCredits Permission = "credits.grant"
	Deduct       Permission = "credits.deduct"
	AdjustExpiry Permission = "credits.adjust_expiration"
	ViewJobs     Permission = "jobs.view"
	RunJobs      Permission = "jobs.run"

	ViewModels    Permission = "models.view"
	EditModels    Permission = "models.edit"
	MoveModels    Permission = "models.lifecycle"
	ViewProviders Permission = "providers.view"
	EditProviders Permission = "providers.edit"
	ViewPrices    Permission = "pricing.view"
	EditPrices    Permission = "pricing.edit"
	ApprovePrices Permission = "pricing.approve"

	ViewPlans       Permission = "subscriptions.view"
	CreatePlans     Permission = "subscriptions.create"
	EditPlans       Permission = "subscriptions.edit"
	CancelPlans     Permission = "subscriptions.cancel"
	ReactivatePlans Permission = "subscriptions.reactivate"
	RefundPlans     Permission = "subscriptions.refund"
	ViewBilling     Permission = "billing.view"
	ViewTiers       Permission = "tiers.view"
	EditTiers       Permission = "tiers.edit"

	ViewRoles   Permission = "roles.view"
	AssignRoles Permission = "roles.assign"
	CreateRoles Permission = "roles.create"
	EditRoles   Permission = "roles.edit"
	DeleteRoles Permission = "roles.delete"
	ViewAudit   Permission = "roles.view_audit_log"
	ExportAudit Permission = "roles.export_audit_log" // auditors read it and take no copy

	ViewUsers      Permission = "users.view"
	ViewPII        Permission = "users.view_pii" // without it addresses and names are masked
	EditUsers      Permission = "users.edit_profile"
	SuspendUsers   Permission = "users.suspend"
	UnsuspendUsers Permission = "users.unsuspend"
	BanUsers       Permission = "users.ban"
	DeleteUsers    Permission = "users.delete"
	ResetFactors   Permission = "users.reset_mfa"
	Impersonate    Permission = "users.impersonate"
	ViewSecurity   Permission = "security.view"
	ManageSecurity Permission = "security.manage"

	ViewWebhooks   Permission = "webhooks.view"
	ManageWebhooks Permission = "webhooks.manage"
	ViewContent    Permission = "content.view"
	ManageContent  Permission = "content.manage"
	ViewSettings   Permission = "settings.view"
	EditSettings   Permission = "settings.edit"

	ViewClients   Permission = "clients.view"
	ManageClients Permission = "clients.manage"

	ViewKeys   Permission = "api_keys.view"
	RevokeKeys Permission = "api_keys.revoke"
	ViewUsage  Permission = "analytics.view_usage"

	ViewApprovals   Permission = "approvals.view"
	DecideApprovals Permission = "approvals.decide"
)

// AnyRole is what routes ask for that every administrator may use.
const AnyRole Permission = "any role"

// The roles of the system.
const (
	RoleSuperAdmin = "super_admin" // has every permission
	RoleAdmin      = "admin"
	RoleOps        = "ops"
	RoleSupport    = "support"
	RoleAnalyst    = "analyst"
	RoleAuditor    = "auditor"
)

// SystemRoles returns their names.
func SystemRoles() []string {
	return []string{RoleSuperAdmin, RoleAdmin, RoleOps, RoleSupport, RoleAnalyst, RoleAuditor}
}

// IsSystemRole reports whether name is that of a role of the system.
func IsSystemRole(name string) bool { return slices.Contains(SystemRoles(), name) }

// table says which roles hold which permissions, super_admin aside.
var table = []struct {
	roles []string
	hold  []Permission
}{
	{
		[]string{RoleAdmin, RoleOps, RoleSupport, RoleAnalyst, RoleAuditor},
		[]Permission{ViewPlans, "licenses.view", ViewUsers, ViewRoles, ViewBilling, "analytics.view_dashboard"},
	},
	{
		[]string{RoleAdmin, RoleOps, RoleSupport, RoleAnalyst},
		[]Permission{"coupons.view", ViewBalance, ViewHistory, ViewModels, ViewProviders, ViewTiers, ViewPrices, ViewUsage},
	},
	{
		[]string{RoleAdmin, RoleOps, RoleSupport},
		[]Permission{GrantCredits, ViewPII, UnsuspendUsers, ViewWebhooks, ViewKeys, ViewContent, ViewJobs},
	},
	{
		[]string{RoleAdmin, RoleOps},
		[]Permission{
			CreatePlans, EditPlans, CancelPlans, ReactivatePlans, "licenses.create", "licenses.activate", "licenses.deactivate",
			"coupons.create", "coupons.edit", "coupons.approve_redemption", "campaigns.create", EditUsers, SuspendUsers, EditModels, MoveModels,
			EditProviders, "billing.manage", ManageWebhooks, RevokeKeys, ManageContent, RunJobs,
		},
	},
	{
		[]string{RoleAdmin},
		[]Permission{
			RefundPlans, "licenses.suspend", "licenses.revoke", "coupons.delete", "campaigns.set_budget", Deduct, AdjustExpiry,
			ResetFactors, BanUsers, DeleteUsers, AssignRoles, EditPrices, ApprovePrices, EditTiers, DecideApprovals, ManageClients,
		},
	},
	{[]string{RoleAdmin, RoleOps, RoleAnalyst}, []Permission{"analytics.view_revenue"}},
	{[]string{RoleAdmin, RoleAnalyst}, []Permission{"analytics.export_data"}},
	{[]string{RoleAdmin, RoleOps, RoleSupport, RoleAuditor}, []Permission{ViewApprovals}},
	{[]string{RoleAdmin, RoleAuditor}, []Permission{ViewAudit, ViewClients, ViewSettings, ViewSecurity}},
	{nil, []Permission{Impersonate, CreateRoles, EditRoles, DeleteRoles, ExportAudit, EditSettings, ManageSecurity}},
}

// limited says which roles have a permission only within bounds: for what they
// did themselves (ViewAudit), or for at most 30 days (SuspendUsers).
var limited = map[Permission]string{ViewAudit: RoleAdmin, SuspendUsers: RoleOps}

// Permissions returns all there are, by name.
func Permissions() []Permission {
	var out []Permission
	for _, row := range table {
		out = append(out, row.hold...)
	}
	slices.Sort(out)
	return out
}

// PermissionsOf returns what a role of the system holds, by name.
func PermissionsOf(role string) []Permission {
	var out []Permission
	for _, row := range table {
		if role == RoleSuperAdmin || slices.Contains(row.roles, role) {
			out = append(out, row.hold...)
		}
	}
	slices.Sort(out)
	return out
}

// Rights is what an administrator may do. It is immutable and safe for
// concurrent use.
type Rights struct{ held map[Permission]bool } // true: within bounds only

// NewRights returns the rights of who has these roles of the system and, beside
// them, what is granted. What is revoked is not among them whoever gave it.
func NewRights(roles []string, granted, revoked []Permission) *Rights {
	r := &Rights{held: map[Permission]bool{}}
	for _, role := range roles {
		for _, p := range PermissionsOf(role) {
			bounded, has := r.held[p]
			r.held[p] = limited[p] == role && (bounded || !has)
		}
	}
	for _, p := range granted {
		r.held[p] = false
	}
	for _, p := range revoked {
		delete(r.held, p)
	}
	return r
}

// List returns the permissions by name.
func (r *Rights) List() []Permission {
	var out []Permission
	if r != nil {
		for p := range r.held {
			out = append(out, p)
		}
	}
	slices.Sort(out)
	return out
}

// Has reports whether p is among r.
func (r *Rights) Has(p Permission) bool {
	_, has := r.held[p]
	return has
}

// Permissions returns what a may do, by name.
func (a Actor) Permissions() []Permission { return a.rights().List() }

// rights returns those of a: what its roles of the system hold when nobody said
// more.
func (a Actor) rights() *Rights {
	if a.Rights != nil {
		return a.Rights
	}
	return NewRights(a.Roles, nil, nil)
}

// ErrPermission answers somebody whose roles do not include what a route asks
// for.
var ErrPermission = fault.New(fault.Forbidden, "forbidden", "Your roles do not allow this.")

// May reports whether a has p.
func (a Actor) May(p Permission) bool {
	if p == AnyRole {
		return len(a.Roles) > 0
	}
	return a.rights().Has(p)
}

// Bounded reports whether a has p only within the bounds of a role: for what a
// did, or for a short time.
func (a Actor) Bounded(p Permission) bool { return a.rights().held[p] }

// Admin returns the Actor that ctx carries if it is a person with the scope
// admin whose rights include p.
func Admin(ctx context.Context, p Permission) (Actor, error) {
	a, err := From(ctx)
	if err != nil {
		return Actor{}, err
	}
	if a.KeyID != "" {
		return Actor{}, ErrNotByKey
	}
	if err := Check(a, ScopeAdmin); err != nil {
		return Actor{}, err
	}
	if !a.May(p) {
		return Actor{}, ErrPermission.Saying("This needs the permission %s, which your roles do not include.", p).With("permission", p)
	}
	return a, nil
}

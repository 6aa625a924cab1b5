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

	ViewPlans       Permission = "subscriptions.view"
	CreatePlans     Permission = "subscriptions.create"
	EditPlans       Permission = "subscriptions.edit"
	CancelPlans     Permission = "subscriptions.cancel"
	ReactivatePlans Permission = "subscriptions.reactivate"
	ViewBilling     Permission = "billing.view"
	ViewTiers       Permission = "tiers.view"
	EditTiers       Permission = "tiers.edit"

	ViewAudit   Permission = "roles.view_audit_log"
	ExportAudit Permission = "roles.export_audit_log" // auditors read it and take no copy
)

// RoleSuperAdmin has every permission.
const RoleSuperAdmin = "super_admin"

// held says which other roles have a permission.
var held = map[Permission][]string{
	ViewBalance:  {"admin", "ops", "support", "analyst"},
	ViewHistory:  {"admin", "ops", "support", "analyst"},
	GrantCredits: {"admin", "ops", "support"},
	Deduct:       {"admin"},
	AdjustExpiry: {"admin"},
	ViewJobs:     {"admin", "ops", "support"},
	RunJobs:      {"admin", "ops"},

	ViewModels:    {"admin", "ops", "support", "analyst"},
	EditModels:    {"admin", "ops"},
	MoveModels:    {"admin", "ops"},
	ViewProviders: {"admin", "ops", "support", "analyst"},
	EditProviders: {"admin", "ops"},
	ViewPrices:    {"admin", "ops", "support", "analyst"},
	EditPrices:    {"admin"},

	ViewPlans:       {"admin", "ops", "support", "analyst", "auditor"},
	CreatePlans:     {"admin", "ops"},
	EditPlans:       {"admin", "ops"},
	CancelPlans:     {"admin", "ops"},
	ReactivatePlans: {"admin", "ops"},
	ViewBilling:     {"admin", "ops", "support", "analyst", "auditor"},
	ViewTiers:       {"admin", "ops", "support", "analyst"},
	EditTiers:       {"admin"},

	ViewAudit: {"admin", "auditor"},
}

// owned says which roles have a permission for what they did themselves only.
var owned = map[Permission][]string{ViewAudit: {"admin"}}

// ErrPermission answers somebody whose roles do not include what a route asks
// for.
var ErrPermission = fault.New(fault.Forbidden, "forbidden", "Your roles do not allow this.")

// May reports whether the roles of a include p.
func (a Actor) May(p Permission) bool {
	if slices.Contains(a.Roles, RoleSuperAdmin) {
		return true
	}
	return slices.ContainsFunc(held[p], func(role string) bool { return slices.Contains(a.Roles, role) })
}

// OwnOnly reports whether a has p for what a did only.
func (a Actor) OwnOnly(p Permission) bool {
	if slices.Contains(a.Roles, RoleSuperAdmin) {
		return false
	}
	return !slices.ContainsFunc(held[p], func(role string) bool {
		return slices.Contains(a.Roles, role) && !slices.Contains(owned[p], role)
	})
}

// Admin returns the Actor that ctx carries if it is a person with the scope
// admin whose roles include p.
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

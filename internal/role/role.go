package role

import (
	"time"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/fault"
)

// Faults of roles.
var (
	ErrUnknown  = fault.New(fault.NotFound, "not_found", "There is no such role, assignment or override.")
	ErrLast     = fault.New(fault.Conflict, "last_super_admin", "This would leave nobody who may do everything. Give somebody else super_admin for good first.")
	ErrHas      = fault.New(fault.Conflict, "conflict", "This person has that already. End it first.")
	ErrTaken    = fault.New(fault.Conflict, "conflict", "There is a role of this name already. Choose another name.")
	ErrInUse    = fault.New(fault.Conflict, "in_use", "Somebody has this role. Take it from them first.")
	ErrSystem   = fault.New(fault.Conflict, "invalid_state", "The roles of the system cannot be changed or deleted. Define one of your own.")
	ErrEdited   = fault.New(fault.PreconditionFailed, "edited_elsewhere", "Somebody has changed this role since you read it. Read it again and repeat your change.")
	ErrOwn      = fault.New(fault.Forbidden, "forbidden", "Nobody changes their own roles. Ask another administrator.")
	ErrBeyond   = fault.New(fault.Forbidden, "forbidden", "Nobody gives what they do not have themselves.")
	ErrSuper    = fault.New(fault.Forbidden, "forbidden", "Only a super_admin changes the rights of a super_admin.")
	ErrTooOften = fault.New(fault.RateLimited, "rate_limit_exceeded", "You have changed rights often in a short time. Wait before you go on.")

	errField = fault.New(fault.Unprocessable, "validation_error", "A field is wrong.")
)

// wrong is a field that breaks a rule.
func wrong(field, message string) error {
	return errField.Saying("The field %s is wrong: %s.", field, message).At(field).
		With("fields", []map[string]string{{"field": field, "code": "invalid", "message": message}})
}

// Assignment is a role that somebody was given.
type Assignment struct {
	ID, UserID, RoleID string
	Reason             string
	By                 string // who gave it
	At, ExpiresAt      time.Time
	EndedAt            time.Time // zero: it was not taken away
	EndedBy            string
}

// Active reports whether a counts at the time now.
func (a Assignment) Active(now time.Time) bool { return active(a.EndedAt, a.ExpiresAt, now) }

func active(ended, expires, now time.Time) bool {
	return ended.IsZero() && (expires.IsZero() || now.Before(expires))
}

// Effect says what an override does.
type Effect string

// The effects.
const (
	Grant  Effect = "grant"
	Revoke Effect = "revoke"
)

// Override gives one person a permission that their roles do not have, or takes
// one from them that the roles have.
type Override struct {
	ID, UserID    string
	Permission    access.Permission
	Effect        Effect
	Reason        string
	By            string
	At, ExpiresAt time.Time
	EndedAt       time.Time
	EndedBy       string
}

// Active reports whether o counts at the time now.
func (o Override) Active(now time.Time) bool { return active(o.EndedAt, o.ExpiresAt, now) }

// Role is a role of the system or one that this instance defined.
type Role struct {
	ID, Name, Description string
	System                bool
	Permissions           []access.Permission
	Version               int64 // of a defined one
	UpdatedAt             time.Time
}

// Held is what somebody has now.
type Held struct {
	Roles  []string // ids
	Rights *access.Rights
	until  time.Time // the first of it to expire; zero: none does
}

// How often one administrator may change rights.
const (
	assignmentsPerHour = 10
	overridesPerHour   = 5
	definitionsPerDay  = 3
)

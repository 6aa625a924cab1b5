package approval

import (
	"encoding/json"
	"time"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/fault"
)

// Faults of approvals.
var (
	ErrUnknown = fault.New(fault.NotFound, "not_found", "There is no such approval.")
	ErrState   = fault.New(fault.Conflict, "invalid_state", "This was decided already, withdrawn, or has expired.")
	ErrSelf    = fault.New(fault.Forbidden, "self_approval", "Somebody else has to decide this.")
	ErrNote    = fault.New(fault.Unprocessable, "validation_error", "You decide on what you asked for yourself. Say why in note, with at least 10 characters.").At("note")
	ErrAsker   = fault.New(fault.Conflict, "invalid_state", "Who asked for this may not do so any more. Deny it, and ask for it yourself.")
	ErrOther   = fault.New(fault.Unprocessable, "idempotency_key_reuse", "This Idempotency-Key was used with another body. Use a new one.").At("Idempotency-Key")
)

// Status says how far a request is.
type Status string

// The states. All but Pending are final.
const (
	Pending   Status = "pending"
	Approved  Status = "approved"
	Denied    Status = "denied"
	Cancelled Status = "cancelled"
	Expired   Status = "expired"
)

// Life is for how long a request can be decided.
const Life = 24 * time.Hour

// shortestNote is how many characters must be typed by who decides alone.
const shortestNote = 10

// Request is something that was asked for.
type Request struct {
	ID         string
	Operation  string
	Permission access.Permission
	Type, For  string // what it is about, in the words of the audit log
	Person     string // the user whom it is about; "" for nobody
	By         string // who asked
	Reason     string
	Input      json.RawMessage // as it was asked for
	At         time.Time
	ExpiresAt  time.Time
	Status     Status
	DecidedBy  string
	DecidedAt  time.Time
	Note       string
	Result     json.RawMessage // of the operation

	once            string
	frozen, outcome []byte // sealed
}

// state returns the Status at the time now.
func (r Request) state(now time.Time) Status {
	if r.Status == Pending && !now.Before(r.ExpiresAt) {
		return Expired
	}
	return r.Status
}

// frozen is what is sealed when somebody asks, and outcome when somebody has
// decided.
type frozen struct {
	Reason string          `json:"reason"`
	Input  json.RawMessage `json:"input"`
}

type outcome struct {
	Note   string          `json:"note"`
	Result json.RawMessage `json:"result,omitempty"`
}

// Filter chooses requests; what is empty chooses all.
type Filter struct {
	Status    Status
	Operation string
	Below     string // only ids below this one
}

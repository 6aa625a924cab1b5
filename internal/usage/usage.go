package usage

import (
	"time"

	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/pricing"
)

// Status is how a call ended for its caller.
type Status = string

// The statuses.
const (
	Success   Status = "success"
	Failed    Status = "failed"
	Cancelled Status = "cancelled" // by the caller, who left
)

// Source says where an Entry's counts come from.
type Source = string

// The sources.
const (
	Reported  Source = "reported"  // the vendor's own
	Partial   Source = "partial"   // its input, and our count of the output
	Estimated Source = "estimated" // our count
	None      Source = "none"      // nothing was used
)

// Replayed is the Ending of a call that was given the answer of an earlier one:
// its counts are those of that, and no vendor was asked.
const Replayed = "replayed"

// ErrNotFound answers an id that is not one of the caller's requests.
var ErrNotFound = fault.New(fault.NotFound, "not_found", "None of your requests has this id. Use the X-Request-Id of an answer, or an id from the list.")

// Entry is the record of one call. It implements credit.Record.
type Entry struct {
	ID        string // call_…, unique
	RequestID string // may come from the caller; not unique
	UserID    string
	KeyID     string // the API key, when the call was made with one
	ClientID  string // the OAuth client, when it was made with a token

	ModelID     string // as in our catalogue
	VendorModel string
	Provider    string
	Operation   string
	Status      Status
	Ending      string // how the call ended for the ledger, e.g. "finished"
	Stream      bool

	Source                   Source
	Suspect                  bool // the vendor's counts were impossible and were clamped
	Counts                   pricing.Counts
	Charged                  money.Credits
	CostPico                 int64          // what the vendor asks, in pico-dollars
	Prices                   pricing.Prices // with Terms, as fixed when the call was admitted
	Terms                    money.Terms
	At                       time.Time // when it was admitted
	DurationMS, FirstTokenMS int64
}

// CallID implements credit.Record.
func (e Entry) CallID() string { return e.ID }

package credit

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/money"
)

// Faults of the ledger.
var (
	ErrInsufficient = fault.New(fault.PaymentRequired, "insufficient_credits", "There are not enough credits for this request. Add credits or ask for less.")
	ErrReserved     = fault.New(fault.RateLimited, "credits_reserved", "Your other open calls hold the credits this request needs. Wait until one has ended, or add credits.").After(5 * time.Second)
	ErrOverloaded   = fault.New(fault.Unavailable, "overloaded", "Too many calls are being recorded at once. Try again in a second.").After(time.Second)
	ErrUnavailable  = fault.New(fault.Unavailable, "service_unavailable", "Credits cannot be recorded right now, so no call is started. Try again in a few seconds.").After(2 * time.Second)
	ErrStorageFull  = fault.New(fault.Unavailable, "storage_full", "The server's disk is full, so no call is started. Its operator has to free space.").After(30 * time.Second)
	ErrRefused      = fault.New(fault.Unavailable, "ledger_refused", "The ledger refused to record this call. Nothing was charged; report the request id.").After(time.Minute)
	ErrBusy         = fault.New(fault.Unavailable, "temporarily_unavailable", "Another server still holds some of these credits and does not answer. Try again in a minute.").After(30 * time.Second)
	ErrConflict     = fault.New(fault.Conflict, "conflict", "This reference was already used with other values. Use a new one.")
	ErrInvalid      = fault.New(fault.Unprocessable, "validation_error", "The amount, the reference or the source is not valid.")
	ErrIssueLimit   = fault.New(fault.Unprocessable, "validation_error", "So many credits cannot be issued: the sum of all grants would be too large.")
)

// Errors that no client sees.
var (
	// ErrDamaged says that the last batch of a lane is not what the lane says
	// it is. Nothing was changed.
	ErrDamaged = errors.New("the ledger is damaged")
	// ErrUnreadable says that a stored value is not what its column holds.
	ErrUnreadable = errors.New("the ledger cannot be read")
	// ErrNotDurable says that ctx ended before a hold or a settlement was
	// durable. A settlement goes on.
	ErrNotDurable = errors.New("not durable yet")
	// ErrBroken says that the disk or its file system failed. What memory says
	// proves nothing any more; the next start recovers from what was written.
	ErrBroken = errors.New("the disk or its file system failed")
)

// Ending says how a call ended; it is stored as the cause of a transfer.
type Ending string

// The endings.
const (
	Finished      Ending = "finished"       // usage was reported
	Estimated     Ending = "estimated"      // finished, and we counted ourselves
	Failed        Ending = "failed"         // before any content
	ProviderBroke Ending = "provider_broke" // in the middle of an answer
	ClientGone    Ending = "client_gone"
	Recovered     Ending = "recovered" // its process died; settled from the journal
	Forgotten     Ending = "forgotten" // nobody ended it; settled from the journal
)

// Causes of what could not be collected.
const (
	causeOverrun  = "overrun"
	causeLate     = "late"
	causeAdjust   = "adjust"
	causeClawback = "clawback"
)

// never is the expiry of a grant that does not expire.
const never = int64(1<<63 - 1)

const (
	maxJournal = 4096
	maxRef     = 128
)

// Call asks for the right to spend.
type Call struct {
	User, Ref string        // usr_…; call_…, made by us and never used before
	Need      money.Credits // the most the call can cost, 1 to money.MaxTransfer
	Caps      []Cap         // limits on spending that Need must fit into, at most 4
	Journal   []byte        // JSON, at most 4 KiB: what recovery needs to write the usage record
}

func (c Call) check() error {
	if c.User == "" || c.Ref == "" || len(c.Ref) > maxRef || c.Need < 1 || c.Need > money.MaxTransfer || len(c.Journal) > maxJournal {
		return fmt.Errorf("reserve %s for %s: %w", c.Need, c.Ref, ErrInvalid)
	}
	return checkCaps(c.Caps)
}

// Outcome is how a call ended and what it cost.
type Outcome struct {
	Price  money.Credits // what is above the hold is not charged
	Ending Ending
	Record Record // nil writes none
}

// Receipt is what a settlement did.
type Receipt struct {
	Ref                        string
	Held, Charged, Uncollected money.Credits
	// Remaining is what the user could still reserve right after it.
	Remaining money.Credits
	Parts     []Part
}

// Part is one grant's share in a hold.
type Part struct {
	Grant         GrantID
	Held, Charged money.Credits
}

// Record is one usage record.
type Record interface {
	CallID() string
	// Journal returns what Records.Restore needs, as JSON of at most 4 KiB.
	Journal() ([]byte, error)
}

// Records keeps the usage records; package usage implements it.
type Records interface {
	// WriteRecords writes those of a batch in the transaction that ctx carries.
	// Its error fails the batch.
	WriteRecords(ctx context.Context, rs []Record) error
	// Restore returns the record that gave journal.
	Restore(journal []byte) (Record, error)
	// Recovered returns the record of a call that nobody ended.
	Recovered(ctx context.Context, o Orphan) (Record, error)
	// Charges calls each for the records with a charge above zero, in any order.
	// It reads in the transaction of ctx, as a stream: each must not read there.
	Charges(ctx context.Context, w Which, each func(Recorded) error) error
}

// Which selects records. The zero value selects all.
type Which struct {
	From  string   // those with this call id or a later one
	Calls []string // when there are any: those of these calls, at most a few hundred
}

// Recorded is what a usage record says about the charge of its call.
type Recorded struct {
	Call    string
	Charged money.Credits
	// Price is computed again from the counts, prices and terms of the record.
	// It is above Charged when the hold was too small.
	Price money.Credits
	// Priced is false for a record that has no terms, because its journal could
	// not be read; its Price means nothing.
	Priced bool
}

// Orphan is a hold that was resolved without its caller.
type Orphan struct {
	Ref, User     string
	Journal       []byte
	Held, Charged money.Credits
	Ending        Ending
	At            time.Time
}

// Shortage is why Reserve gave nothing. It wraps ErrInsufficient when the
// balance is too small, or ErrReserved when only the user's own open holds are
// in the way, or a process that does not return what it has leased.
type Shortage struct {
	Need, Available, Held money.Credits
	fault                 *fault.Error
}

func newShortage(need, available, held money.Credits) *Shortage {
	s := &Shortage{Need: need, Available: available, Held: held}
	switch {
	case available+held < need:
		s.fault = ErrInsufficient.Saying("This request may cost up to %s credits and %s are left. Add credits, or ask for less output.", need, available)
	case available >= need:
		s.fault = ErrReserved.Saying("This request may cost up to %s credits, and another server has set some of the %s that are left aside and does not answer. Try again in a few seconds.", need, available)
	default:
		s.fault = ErrReserved.Saying("This request may cost up to %s credits; %s are free and your open calls hold %s. Wait until one has ended, or add credits.", need, available, held)
	}
	s.fault = s.fault.With("required", need).With("available", available).With("held", held)
	return s
}

func (s *Shortage) Error() string { return s.fault.Error() }

// Unwrap returns the fault that a client sees.
func (s *Shortage) Unwrap() error { return s.fault }

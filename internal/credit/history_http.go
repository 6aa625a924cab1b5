package credit

import (
	"context"
	"time"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/list"
	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/sqldb"
)

// Requests knows which request of a client a call was; package usage
// implements it.
type Requests interface {
	// RequestIDs returns the request ids of these calls, at most 256.
	RequestIDs(ctx context.Context, calls []string) (map[string]string, error)
	// CallIDs returns the newest calls of the user with this request id, at most
	// 256.
	CallIDs(ctx context.Context, user, requestID string) ([]string, error)
	// CallsOf returns the call with this id, or else the newest calls of any user
	// with this request id, at most 20.
	CallsOf(ctx context.Context, callOrRequest string) ([]string, error)
}

// Names of the lists in cursors.
const (
	listGrants = "credit-grants"
	listLedger = "credit-ledger"
)

// GrantsInput is a page of grants, and which it has.
type GrantsInput struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"100" default:"20"`
	Cursor string `query:"cursor" maxLength:"500"`
	Source string `query:"source" enum:"rollover,trial,plan,bonus,adjustment,coupon,referral,pack"`
	Active bool   `query:"active" doc:"Leave out what has expired or is used up"`
}

type grantsOutput struct{ Body list.Page[grantBody] }

type grantBody struct {
	ID        string        `json:"id"`
	Source    Source        `json:"source"`
	Amount    money.Credits `json:"amount" doc:"All that was put in"`
	Remaining money.Credits `json:"remaining"`
	Held      money.Credits `json:"held" doc:"Of remaining: set aside for open calls"`
	Frozen    bool          `json:"frozen" doc:"Not usable for now"`
	ExpiresAt *time.Time    `json:"expiresAt"`
	CreatedAt time.Time     `json:"createdAt"`
}

func (a API) grants(ctx context.Context, in *GrantsInput) (*grantsOutput, error) {
	actor, err := access.From(ctx)
	if err != nil {
		return nil, err
	}
	return a.grantsOf(ctx, actor.UserID, in)
}

type grantsOfPersonInput struct {
	GrantsInput
	ID string `path:"id" maxLength:"64"`
}

func (a API) grantsOfPerson(ctx context.Context, in *grantsOfPersonInput) (*grantsOutput, error) {
	return a.grantsOf(ctx, in.ID, &in.GrantsInput)
}

// grantsOf returns one page of a user's grants.
func (a API) grantsOf(ctx context.Context, user string, in *GrantsInput) (*grantsOutput, error) {
	var before GrantID
	if in.Cursor != "" {
		if err := a.Cursors.Decode(listGrants, in.Cursor, &before); err != nil {
			return nil, err
		}
	}
	grants, err := a.Credits.Grants(ctx, user, Source(in.Source), in.Active, before, in.Limit+1)
	if err != nil {
		return nil, outage(err)
	}
	out := &grantsOutput{Body: list.Page[grantBody]{Data: []grantBody{}}}
	if len(grants) > in.Limit {
		grants = grants[:in.Limit]
		next, err := a.Cursors.Encode(listGrants, grants[in.Limit-1].ID)
		if err != nil {
			return nil, err
		}
		out.Body.NextCursor = &next
	}
	for _, g := range grants {
		out.Body.Data = append(out.Body.Data, grantBody{
			ID: g.ID.String(), Source: g.Source, Amount: g.Amount, Remaining: g.Remaining, Held: g.Held, Frozen: g.Frozen,
			ExpiresAt: timeOrNull(g.ExpiresAt), CreatedAt: g.CreatedAt,
		})
	}
	return out, nil
}

// LedgerInput is a page of a ledger, and which lines it has.
type LedgerInput struct {
	Limit     int    `query:"limit" minimum:"1" maximum:"100" default:"20"`
	Cursor    string `query:"cursor" maxLength:"500"`
	Kind      string `query:"kind" enum:"grant,charge,release,expire,rollover_out,rollover_in,adjust,clawback,reversal"`
	RequestID string `query:"request_id" maxLength:"64" doc:"The lines of one request, or of one call"`
}

type ledgerOutput struct{ Body list.Page[lineBody] }

type lineBody struct {
	ID           string        `json:"id"`
	Kind         string        `json:"kind"`
	Amount       money.Credits `json:"amount" doc:"Below 0 when credits left the balance; 0 when a call cost nothing"`
	BalanceAfter money.Credits `json:"balanceAfter"`
	GrantID      string        `json:"grantId"`
	RequestID    *string       `json:"requestId" doc:"Of the model call, for a charge or a release"`
	Description  string        `json:"description"`
	CreatedAt    time.Time     `json:"createdAt"`
}

func (a API) ledger(ctx context.Context, in *LedgerInput) (*ledgerOutput, error) {
	actor, err := access.From(ctx)
	if err != nil {
		return nil, err
	}
	return a.lines(ctx, actor.UserID, in)
}

// lines returns one page of a user's history.
func (a API) lines(ctx context.Context, user string, in *LedgerInput) (*ledgerOutput, error) {
	f := Filter{Kind: in.Kind}
	if in.RequestID != "" {
		calls, err := a.Requests.CallIDs(ctx, user, in.RequestID)
		if err != nil {
			return nil, err
		}
		f.Refs = append(calls, in.RequestID)
	}
	var after *Position
	if in.Cursor != "" {
		after = new(Position)
		if err := a.Cursors.Decode(listLedger+user, in.Cursor, after); err != nil {
			return nil, err
		}
	}
	lines, next, err := a.Credits.History(ctx, user, f, after, in.Limit)
	if err != nil {
		return nil, outage(err)
	}
	refs := make([]string, 0, len(lines))
	for _, l := range lines {
		if l.Kind == string(kindCharge) || l.Kind == string(kindRelease) {
			refs = append(refs, l.Ref)
		}
	}
	requests, err := a.Requests.RequestIDs(ctx, refs)
	if err != nil {
		return nil, err
	}
	out := &ledgerOutput{Body: list.Page[lineBody]{Data: make([]lineBody, 0, len(lines))}}
	for _, l := range lines {
		b := lineBody{
			ID: l.ID, Kind: l.Kind, Amount: l.Change, BalanceAfter: l.BalanceAfter, GrantID: l.Grant.String(),
			Description: describe(l), CreatedAt: l.At,
		}
		if id, ok := requests[l.Ref]; ok {
			b.RequestID = &id
		}
		out.Body.Data = append(out.Body.Data, b)
	}
	if next != nil {
		cursor, err := a.Cursors.Encode(listLedger+user, next)
		if err != nil {
			return nil, err
		}
		out.Body.NextCursor = &cursor
	}
	return out, nil
}

// describe says in words what a line is.
func describe(l Line) string {
	switch kind(l.Kind) {
	case kindGrant:
		return "Credits added: " + l.Cause
	case kindCharge:
		return "Model call"
	case kindRelease:
		return "Model call that cost nothing"
	case kindExpire:
		return "Expired"
	case kindRolloverOut:
		return "Carried over from the last cycle"
	case kindRolloverIn:
		return "Carried over to this cycle"
	case kindAdjust:
		return "Deducted by an administrator"
	case kindClawback:
		return "Taken back after a refund"
	case kindReversal:
		return "Given back"
	case kindHold:
	}
	return l.Kind
}

// outage turns an error of an unreachable database into the fault that says so.
func outage(err error) error {
	if sqldb.IsUnavailable(err) {
		return fault.ErrUnavailable.Because(err)
	}
	return err
}

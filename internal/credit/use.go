package credit

import (
	"context"
	"time"

	"github.com/rephlo/rephlo/internal/money"
)

// GrantUse is what became of the credits of one grant.
type GrantUse struct {
	Granted money.Credits // all that was ever put in
	Charged money.Credits // by calls
	// Returned is what was given back of it, of charges and of what was taken.
	Returned money.Credits
	Rolled   money.Credits // carried over into another grant
	Expired  money.Credits
	Taken    money.Credits // by administrators, or with a payment that was taken back
	// Remaining is Granted and Returned less all the others, with what open calls
	// hold.
	Remaining money.Credits
}

// MaxUses is how many grants UsesOf looks up.
const MaxUses = lookup

// UsesOf returns what became of at most MaxUses grants of a user, none of which
// is older than since. A grant that is not the user's is not in the answer.
func (s *Service) UsesOf(ctx context.Context, user string, grants []GrantID, since time.Time) (map[GrantID]GrantUse, error) {
	if len(grants) == 0 {
		return map[GrantID]GrantUse{}, nil
	}
	return s.store.usesOf(ctx, user, grants, since.UnixMicro())
}

// add counts transfers of one kind.
func (u *GrantUse) add(k kind, amount money.Credits) {
	switch k {
	case kindGrant, kindRolloverIn:
		u.Granted += amount
	case kindCharge:
		u.Charged += amount
	case kindReversal:
		u.Returned += amount
	case kindRolloverOut:
		u.Rolled += amount
	case kindExpire:
		u.Expired += amount
	case kindAdjust, kindClawback:
		u.Taken += amount
	case kindHold, kindRelease:
		return
	}
	t := transfer{kind: k, amount: int64(amount)}
	u.Remaining += money.Credits(t.change())
}

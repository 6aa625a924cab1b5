package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/rephlo/rephlo/internal/credit"
	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/usage"
)

// latestCalls is how many calls of a user are shown.
const latestCalls = 20

// userStory is what the ledger says about a user.
type userStory struct {
	User      string        `json:"user"`
	Balance   money.Credits `json:"balance"`
	Held      money.Credits `json:"held"`
	Frozen    money.Credits `json:"frozen"`
	Available money.Credits `json:"available"`
	Grants    []grantLine   `json:"grants"` // in the order in which they are used
	Calls     []callLine    `json:"calls"`  // the latest
}

type grantLine struct {
	ID        string        `json:"id"`
	Source    string        `json:"source"`
	Ref       string        `json:"ref"`
	GrantedAt time.Time     `json:"grantedAt"`
	ExpiresAt *time.Time    `json:"expiresAt"` // null: never
	Frozen    bool          `json:"frozen"`
	Credited  money.Credits `json:"credited"`
	Debited   money.Credits `json:"debited"` // used, expired and taken
	Held      money.Credits `json:"held"`
}

type callLine struct {
	Call    string        `json:"call"`
	Request string        `json:"request"`
	Model   string        `json:"model"`
	Ending  string        `json:"ending"`
	Charged money.Credits `json:"charged"`
	At      time.Time     `json:"at"`
}

func lineOf(g credit.GrantInfo) grantLine {
	l := grantLine{
		ID: g.ID.String(), Source: string(g.Source), Ref: g.Ref, GrantedAt: g.GrantedAt, Frozen: g.Frozen,
		Credited: g.Credited, Debited: g.Debited, Held: g.Held,
	}
	if !g.ExpiresAt.IsZero() {
		l.ExpiresAt = &g.ExpiresAt
	}
	return l
}

// showUser prints a user's figures, grants and latest calls.
func (b books) showUser(ctx context.Context, w io.Writer, user string, asJSON bool) error {
	all, err := b.credits.GrantsOf(ctx, user)
	if err != nil {
		return err
	}
	if len(all) == 0 {
		return Exit(exitFailed, fmt.Errorf("the ledger knows no %q: this user was never given credits", user))
	}
	balance, err := b.credits.Balance(ctx, user)
	if err != nil {
		return err
	}
	calls, _, err := b.usage.List(ctx, user, usage.Filter{}, latestCalls, "")
	if err != nil {
		return err
	}
	s := userStory{
		User: user, Balance: balance.Granted - balance.Used, Held: balance.Held, Frozen: balance.Frozen, Available: balance.Available,
		Grants: []grantLine{}, Calls: []callLine{},
	}
	for _, g := range all {
		s.Grants = append(s.Grants, lineOf(g))
	}
	for _, c := range calls {
		s.Calls = append(s.Calls, callLine{Call: c.ID, Request: c.RequestID, Model: c.ModelID, Ending: c.Ending, Charged: c.Charged, At: c.At})
	}
	if asJSON {
		err = json.NewEncoder(w).Encode(s)
	} else {
		err = s.print(w)
	}
	if err != nil {
		return Exit(exitIO, err)
	}
	return nil
}

func (s userStory) print(w io.Writer) error {
	p := &printer{w: tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)}
	p.line("user %s: balance %s, held %s, frozen %s, available %s", s.User, s.Balance, s.Held, s.Frozen, s.Available)
	p.line("grants, in the order in which they are used:")
	for _, g := range s.Grants {
		until := "never expires"
		if g.ExpiresAt != nil {
			until = "expires " + stamp(*g.ExpiresAt)
		}
		if g.Frozen {
			until += ", frozen"
		}
		p.line("  %s\t%s\t%s\tgranted %s\t%s\tcredited %s\tdebited %s\theld %s", g.ID, g.Source, g.Ref, stamp(g.GrantedAt), until, g.Credited, g.Debited, g.Held)
	}
	if len(s.Calls) > 0 {
		p.line("latest calls (rephlo ledger show CALL explains one):")
	}
	for _, c := range s.Calls {
		p.line("  %s\t%s\t%s\t%s\tcharged %s", c.Call, stamp(c.At), c.Model, c.Ending, c.Charged)
	}
	return p.end()
}

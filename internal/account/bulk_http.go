package account

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/approval"
)

// PeopleFilter chooses people as the list of people does.
type PeopleFilter struct {
	Search string     `json:"search,omitempty" maxLength:"254"`
	Status string     `json:"status,omitempty" enum:"active,suspended,banned,deleted"`
	Role   string     `json:"role,omitempty" maxLength:"64"`
	Tier   string     `json:"tier,omitempty" maxLength:"40"`
	After  *time.Time `json:"createdAfter,omitempty"`
	Before *time.Time `json:"createdBefore,omitempty"`
}

type bulkInput struct {
	Body struct {
		Action string        `json:"action" enum:"suspend,unsuspend,sign_out,ban,unban,delete,restore"`
		IDs    []string      `json:"userIds,omitempty" maxItems:"500" doc:"Whom it is done to; or filter"`
		Filter *PeopleFilter `json:"filter,omitempty" doc:"Everybody who matches, at most 500"`
		DryRun bool          `json:"dryRun,omitempty" doc:"Only tell whom it would be done to"`
		Until  *time.Time    `json:"until,omitempty" doc:"The end of a suspension"`
		Notify bool          `json:"notify,omitempty" doc:"Tell the people by mail"`
		Reason string        `json:"reason" minLength:"10" maxLength:"500"`
	}
}

type bulkOutput struct {
	Status int
	Body   bulkBody
}

type bulkBody struct {
	Action     string          `json:"action"`
	DryRun     bool            `json:"dryRun"`
	Matched    int             `json:"matched"`
	Affected   int             `json:"affected" doc:"To how many it was done, or would be"`
	Skipped    []skipped       `json:"skipped" doc:"To whom it is not done, and the code of why"`
	ApprovalID string          `json:"approvalId,omitempty" doc:"Of a ban or deletion, which somebody else has to approve (202)"`
	Status     approval.Status `json:"status,omitempty" enum:"pending,approved,denied,cancelled,expired"`
}

// bulk does one thing to many people.
func (a AdminAPI) bulk(ctx context.Context, in *bulkInput) (*bulkOutput, error) {
	action := bulkActions[in.Body.Action]
	by, err := access.Admin(ctx, action.permission)
	if err != nil {
		return nil, err
	}
	b := bulk{Action: in.Body.Action, Until: in.Body.Until, Notify: in.Body.Notify, Reason: in.Body.Reason, by: by, grace: a.Grace()}
	if in.Body.Until != nil && b.Action != "suspend" {
		return nil, field("until", "only a suspension has an end")
	}
	if b.Action == "suspend" {
		if err := a.Accounts.bounds(b.turn()); err != nil {
			return nil, err
		}
	}
	if b.IDs, err = a.chosen(ctx, by, in); err != nil {
		return nil, err
	}
	out := &bulkOutput{Status: http.StatusOK, Body: bulkBody{Action: b.Action, DryRun: in.Body.DryRun, Matched: len(b.IDs)}}
	if !in.Body.DryRun && !action.approved {
		out.Body.Affected, out.Body.Skipped, err = a.Accounts.doAll(ctx, b, false)
		return out, err
	}
	if b.IDs, out.Body.Skipped, err = a.Accounts.sort(ctx, b); err != nil {
		return nil, err
	}
	out.Body.Affected = len(b.IDs)
	if in.Body.DryRun || len(b.IDs) == 0 {
		return out, nil
	}
	return out, a.askMany(ctx, b, out)
}

// chosen returns the ids that a request names, or the ids of who matches.
func (a AdminAPI) chosen(ctx context.Context, by access.Actor, in *bulkInput) ([]string, error) {
	p := in.Body.Filter
	if (p == nil) == (len(in.Body.IDs) == 0) {
		return nil, field("userIds", "send either userIds or a filter")
	}
	if p == nil {
		return unique(in.Body.IDs), nil
	}
	if *p == (PeopleFilter{}) {
		return nil, field("filter", "it must choose by something")
	}
	f := Filter{Search: p.Search, State: p.Status, Tier: p.Tier, Sort: ByCreation}
	if p.After != nil {
		f.After = *p.After
	}
	if p.Before != nil {
		f.Before = *p.Before
	}
	if err := a.narrow(ctx, by, p.Role, &f); err != nil {
		return nil, err
	}
	users, err := a.Accounts.People(ctx, f, maxBulk+1)
	if err != nil {
		return nil, err
	}
	if len(users) > maxBulk {
		return nil, field("filter", fmt.Sprintf("more than %d people match; choose fewer", maxBulk))
	}
	ids := make([]string, 0, len(users))
	for _, u := range users {
		ids = append(ids, u.ID)
	}
	return ids, nil
}

// narrow adds to f what only some readers may choose by, and a role.
func (a AdminAPI) narrow(ctx context.Context, reader access.Actor, role string, f *Filter) (err error) {
	if !reader.May(access.ViewPII) && f.Search != "" && !strings.HasPrefix(f.Search, "usr_") {
		return access.ErrPermission.Saying("To search by address or name you need the permission %s. Search by id.", access.ViewPII).With("permission", access.ViewPII)
	}
	if role == "" {
		return nil
	}
	if f.IDs, err = a.Holders(ctx, role); err != nil {
		return err
	}
	f.IDs = append([]string{}, f.IDs...)
	return nil
}

func unique(ids []string) []string {
	seen := make(map[string]bool, len(ids))
	out := make([]string, 0, len(ids))
	for _, id := range ids {
		if !seen[id] {
			seen[id], out = true, append(out, id)
		}
	}
	return out
}

// askMany asks somebody else for what needs an approval, for all people at once.
func (a AdminAPI) askMany(ctx context.Context, b bulk, out *bulkOutput) error {
	if err := a.Approvals.CheckFresh(ctx); err != nil {
		return err
	}
	r, err := a.many[b.Action].Ask(ctx, approval.Wish[bulk]{Type: "user", Reason: b.Reason, Input: b})
	if err != nil {
		return err
	}
	out.Status, out.Body.ApprovalID, out.Body.Status = http.StatusAccepted, r.ID, r.Status
	return nil
}

// bulkResult is what an approved change of many people did.
type bulkResult struct {
	Action   string    `json:"action"`
	Affected int       `json:"affected"`
	Skipped  []skipped `json:"skipped"`
}

// manies are the operations that are done to many people after an approval.
func (a AdminAPI) manies() map[string]approval.Operation[bulk] {
	out := map[string]approval.Operation[bulk]{}
	for name, action := range bulkActions {
		if !action.approved {
			continue
		}
		out[name] = approval.Define(a.Approvals, approval.Definition[bulk]{
			Name: "users.bulk_" + name, Permission: action.permission,
			Run: func(ctx context.Context, r approval.Request, b bulk) (any, error) {
				var err error
				if b.by, err = access.From(ctx); err != nil {
					return nil, err
				}
				b.Reason, b.grace = r.Reason, a.Grace()
				done, rest, err := a.Accounts.doAll(ctx, b, true)
				return bulkResult{b.Action, done, rest}, err
			},
		})
	}
	return out
}

package account

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/approval"
	"github.com/rephlo/rephlo/internal/audit"
	"github.com/rephlo/rephlo/internal/list"
	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/web"
)

// AdminAPI is what administrators do with people.
type AdminAPI struct {
	Accounts  *Service
	Cursors   list.Cursors
	Approvals *approval.Service
	// Roles returns the roles of somebody, and Holders who has a role.
	Roles   func(ctx context.Context, userID string) ([]string, error)
	Holders func(ctx context.Context, role string) ([]string, error)
	// Overview returns what else is known of somebody, as far as a reader may see
	// it.
	Overview func(ctx context.Context, reader access.Actor, u User) (Overview, error)

	// Grace is in which time a deleted account can come back.
	Grace func() time.Duration

	ban     approval.Operation[bans]
	removal approval.Operation[removals]
	many    map[string]approval.Operation[bulk]
}

// Mount registers the routes.
func (a AdminAPI) Mount(m *web.Mux) {
	view := access.Allows(access.ViewUsers)
	web.Route(m, "GET /admin/users", a.list, view, web.Doc("List and search people"))
	web.Route(m, "GET /admin/users/{id}", a.one, view, web.Doc("Show a person and the history of their account"))
	web.Route(m, "GET /admin/users/{id}/overview", a.overview, view, a.Accounts.Person(), web.Doc("Show a person, their subscription, credits and limits"))
	web.Route(m, "PATCH /admin/users/{id}", a.edit, access.Allows(access.EditUsers), withAddress(), web.Doc("Change a person's profile"))
	web.Route(m, "POST /admin/users/{id}/suspend", a.suspend, access.Allows(access.SuspendUsers), web.Doc("Lock a person out for some time"))
	web.Route(m, "POST /admin/users/{id}/unsuspend", a.turn(a.Accounts.Unsuspend), access.Allows(access.UnsuspendUsers), web.Doc("End a suspension"))
	a.ban = approval.Define(a.Approvals, a.bans())
	web.Route(m, "POST /admin/users/{id}/ban", a.askBan, access.Allows(access.BanUsers), a.Approvals.Asks(), web.Doc("Ask for a person to be locked out for good"))
	web.Route(m, "POST /admin/users/{id}/unban", a.turn(a.Accounts.Unban), access.Allows(access.BanUsers), web.Doc("End a ban"))
	a.removal = approval.Define(a.Approvals, a.removals())
	web.Route(m, "DELETE /admin/users/{id}", a.askRemoval, access.Allows(access.DeleteUsers), a.Approvals.Asks(), web.Doc("Ask for a person's account to be deleted"))
	web.Route(m, "POST /admin/users/{id}/restore", a.turn(a.Accounts.Restore), access.Allows(access.DeleteUsers), web.Doc("Undo the deletion of an account within its time of grace"))
	a.many = a.manies()
	web.Route(m, "POST /admin/users/bulk", a.bulk, access.Allows(access.AnyRole), web.Status(http.StatusOK), web.Doc("Do one thing to many people; it needs the permission for doing it to one"))
	web.Route(m, "DELETE /admin/users/{id}/sessions", a.signOut, access.Allows(access.SuspendUsers), web.Doc("End all sign-ins and tokens of a person"))
}

// PersonBody is an account as administrators see it.
type PersonBody struct {
	ID            string     `json:"id"`
	Email         string     `json:"email" doc:"Masked without users.view_pii, as are the names"`
	EmailVerified bool       `json:"emailVerified"`
	Username      string     `json:"username"`
	FirstName     *string    `json:"firstName"`
	LastName      *string    `json:"lastName"`
	Status        string     `json:"status" enum:"active,suspended,banned,deleted"`
	StatusReason  *string    `json:"statusReason"`
	StatusUntil   *time.Time `json:"statusUntil"`
	Staff         bool       `json:"staff" doc:"Has a role"`
	CreatedAt     time.Time  `json:"createdAt"`
	LastLoginAt   *time.Time `json:"lastLoginAt"`

	CreditsUsed *money.Credits `json:"creditsUsed" doc:"By all their calls, some minutes old; null without credits.view_balance"`
}

// showPerson shows u to a reader; who may not see personal data gets a mask.
func showPerson(u User, reader access.Actor) PersonBody {
	if !reader.May(access.ViewPII) {
		u = u.Masked()
	}
	b := PersonBody{
		ID: u.ID, Email: u.Email, EmailVerified: u.Verified, Username: u.Username, FirstName: optional(u.FirstName), LastName: optional(u.LastName),
		Status: u.State, StatusReason: optional(u.Reason), StatusUntil: moment(u.Until), Staff: u.Staff,
		CreatedAt: u.CreatedAt.UTC().Truncate(time.Second), LastLoginAt: moment(u.LastLoginAt),
	}
	if reader.May(access.ViewBalance) {
		b.CreditsUsed = &u.CreditsUsed
	}
	return b
}

func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC().Truncate(time.Second)
	return &t
}

// masked keeps the first letter, and the domain of an address.
func masked(text string) string {
	name, domain, isAddress := strings.Cut(text, "@")
	for i := range name {
		if i > 0 {
			name = name[:i]
			break
		}
	}
	if isAddress {
		return name + "***@" + domain
	}
	return name + "***"
}

type peopleInput struct {
	Search string    `query:"search" maxLength:"254"`
	Status string    `query:"status" enum:"active,suspended,banned,deleted"`
	Role   string    `query:"role" maxLength:"64"`
	Tier   string    `query:"tier" maxLength:"40" doc:"Of their subscription"`
	Sort   string    `query:"sort" enum:"created_at,last_login_at,credits_used" default:"created_at"`
	After  time.Time `query:"created_after"`
	Before time.Time `query:"created_before"`
	Limit  int       `query:"limit" minimum:"1" maximum:"100" default:"20"`
	Cursor string    `query:"cursor" maxLength:"500"`
}

type peopleOutput struct{ Body list.Page[PersonBody] }

// place is where a page of people ended.
type place struct {
	At int64  `json:"a"`
	ID string `json:"i"`
}

func (a AdminAPI) list(ctx context.Context, in *peopleInput) (*peopleOutput, error) {
	reader, err := access.From(ctx)
	if err != nil {
		return nil, err
	}
	if Sort(in.Sort) == ByUse && !reader.May(access.ViewBalance) {
		return nil, access.ErrPermission.Saying("To sort by the credits that people used you need the permission %s.", access.ViewBalance).With("permission", access.ViewBalance)
	}
	f := Filter{Search: in.Search, State: in.Status, Tier: in.Tier, Sort: Sort(in.Sort), After: in.After, Before: in.Before}
	if err := a.narrow(ctx, reader, in.Role, &f); err != nil {
		return nil, err
	}
	name := "people " + in.Sort
	if in.Cursor != "" {
		var p place
		if err := a.Cursors.Decode(name, in.Cursor, &p); err != nil {
			return nil, err
		}
		f.Seen, f.SeenID = p.At, p.ID
	}
	users, err := a.Accounts.People(ctx, f, in.Limit+1)
	if err != nil {
		return nil, err
	}
	out := &peopleOutput{Body: list.Page[PersonBody]{Data: []PersonBody{}}}
	if len(users) > in.Limit {
		users = users[:in.Limit]
		cursor, err := a.Cursors.Encode(name, users[in.Limit-1].place(f.Sort))
		if err != nil {
			return nil, err
		}
		out.Body.NextCursor = &cursor
	}
	for _, u := range users {
		out.Body.Data = append(out.Body.Data, showPerson(u, reader))
	}
	return out, a.read(ctx, reader, audit.Change{Action: "users.list", Type: "user", After: map[string]any{"people": len(users)}})
}

func (u User) place(s Sort) place {
	switch {
	case s == ByUse:
		return place{int64(u.CreditsUsed), u.ID}
	case s == ByLogin && u.LastLoginAt.IsZero():
		return place{0, u.ID}
	case s == ByLogin:
		return place{u.LastLoginAt.UnixMicro(), u.ID}
	}
	return place{u.CreatedAt.UnixMicro(), u.ID}
}

// read remembers that a reader saw personal data.
func (a AdminAPI) read(ctx context.Context, reader access.Actor, c audit.Change) error {
	if !reader.May(access.ViewPII) {
		return nil
	}
	return a.Accounts.Audit.Write(ctx, c)
}

type personInput struct {
	ID string `path:"id" maxLength:"64"`
}

type stateBody struct {
	From     string     `json:"from"`
	To       string     `json:"to"`
	Reason   string     `json:"reason"`
	By       string     `json:"by"`
	At       time.Time  `json:"at"`
	Until    *time.Time `json:"until"`
	LiftedAt *time.Time `json:"liftedAt"`
	LiftedBy *string    `json:"liftedBy"`
}

type personOutput struct {
	Body struct {
		PersonBody
		Roles   []string    `json:"roles"`
		History []stateBody `json:"history" doc:"The latest changes of the status, newest first"`
	}
}

const shownStates = 20

func (a AdminAPI) one(ctx context.Context, in *personInput) (*personOutput, error) {
	reader, _, out, err := a.look(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return out, a.read(ctx, reader, audit.Change{Action: "users.view", Type: "user", ID: in.ID})
}

// look returns who looks, at whom, and what they see.
func (a AdminAPI) look(ctx context.Context, userID string) (reader access.Actor, u User, out *personOutput, err error) {
	if reader, err = access.From(ctx); err != nil {
		return reader, u, nil, err
	}
	if u, err = a.Accounts.ByID(ctx, userID); err != nil {
		return reader, u, nil, err
	}
	out, err = a.person(ctx, u, reader)
	return reader, u, out, err
}

func (a AdminAPI) person(ctx context.Context, u User, reader access.Actor) (*personOutput, error) {
	roles, err := a.Roles(ctx, u.ID)
	if err != nil {
		return nil, err
	}
	states, err := a.Accounts.History(ctx, u.ID, shownStates)
	if err != nil {
		return nil, err
	}
	out := &personOutput{}
	out.Body.PersonBody, out.Body.Roles, out.Body.History = showPerson(u, reader), append([]string{}, roles...), []stateBody{}
	for _, s := range states {
		out.Body.History = append(out.Body.History, stateBody{
			From: s.From, To: s.To, Reason: s.Reason, By: s.By, At: s.At, Until: moment(s.Until), LiftedAt: moment(s.LiftedAt), LiftedBy: optional(s.LiftedBy),
		})
	}
	return out, nil
}

type editPersonInput struct {
	ID   string `path:"id" maxLength:"64"`
	Body struct {
		FirstName clearable `json:"firstName,omitempty" nullable:"true" minLength:"1" maxLength:"100"`
		LastName  clearable `json:"lastName,omitempty" nullable:"true" minLength:"1" maxLength:"100"`
		Username  string    `json:"username,omitempty" minLength:"3" maxLength:"30"`
		Email     string    `json:"email,omitempty" maxLength:"254" doc:"It counts when its owner has used the mailed link"`
		Reason    string    `json:"reason" minLength:"10" maxLength:"500"`
	}
}

func (a AdminAPI) edit(ctx context.Context, in *editPersonInput) (*personOutput, error) {
	reader, err := access.From(ctx)
	if err != nil {
		return nil, err
	}
	b := in.Body
	p := Profile{FirstName: b.FirstName.change(), LastName: b.LastName.change(), Username: optional(b.Username)}
	if p == (Profile{}) && b.Email == "" {
		return nil, ErrInvalid.Saying("The body has no field to change. Send firstName, lastName, username or email.")
	}
	var u User
	err = a.Accounts.DB.InTx(ctx, func(ctx context.Context) (err error) {
		if u, err = a.Accounts.ByID(ctx, in.ID); err != nil {
			return err
		}
		if p != (Profile{}) {
			if u, err = a.Accounts.Edit(ctx, in.ID, p, b.Reason); err != nil {
				return err
			}
		}
		if b.Email == "" {
			return nil
		}
		return a.Accounts.MoveEmail(ctx, in.ID, b.Email, address(ctx), b.Reason)
	})
	if err != nil {
		return nil, err
	}
	return a.person(ctx, u, reader)
}

type suspendInput struct {
	ID   string `path:"id" maxLength:"64"`
	Body struct {
		Until  *time.Time `json:"until,omitempty" doc:"Until somebody ends it when absent"`
		Notify bool       `json:"notify,omitempty" doc:"Tell the person by mail"`
		Reason string     `json:"reason" minLength:"10" maxLength:"500"`
	}
}

func (a AdminAPI) suspend(ctx context.Context, in *suspendInput) (*personOutput, error) {
	reader, err := access.From(ctx)
	if err != nil {
		return nil, err
	}
	t := Turn{By: reader, Reason: in.Body.Reason, Notify: in.Body.Notify}
	if in.Body.Until != nil {
		t.Until = *in.Body.Until
	}
	u, err := a.Accounts.Suspend(ctx, in.ID, t)
	if err != nil {
		return nil, err
	}
	return a.person(ctx, u, reader)
}

type turnInput struct {
	ID   string `path:"id" maxLength:"64"`
	Body struct {
		Notify bool   `json:"notify,omitempty" doc:"Tell the person by mail"`
		Reason string `json:"reason" minLength:"10" maxLength:"500"`
	}
}

// turn is a change of state that needs nothing but its reason.
func (a AdminAPI) turn(do func(context.Context, string, Turn) (User, error)) func(context.Context, *turnInput) (*personOutput, error) {
	return func(ctx context.Context, in *turnInput) (*personOutput, error) {
		reader, err := access.From(ctx)
		if err != nil {
			return nil, err
		}
		u, err := do(ctx, in.ID, Turn{By: reader, Reason: in.Body.Reason, Notify: in.Body.Notify})
		if err != nil {
			return nil, err
		}
		return a.person(ctx, u, reader)
	}
}

type signOutInput struct {
	ID     string `path:"id" maxLength:"64"`
	Reason string `query:"reason" required:"true" minLength:"10" maxLength:"500"`
}

func (a AdminAPI) signOut(ctx context.Context, in *signOutInput) (*struct{}, error) {
	return nil, a.Accounts.SignOut(ctx, in.ID, in.Reason)
}

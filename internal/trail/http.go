package trail

import (
	"context"
	"net/http"
	"time"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/list"
	"github.com/rephlo/rephlo/internal/web"
)

// API is the JSON surface: people read what happened to their account.
type API struct {
	Trail   *Service
	Cursors list.Cursors
	// Person is for routes of administrators about one person: it checks that
	// there is one and who may see them.
	Person web.Option
}

// Mount registers the route.
func (a API) Mount(m *web.Mux) {
	web.Route(m, "GET /v1/users/me/security-events", a.list, access.Needs(access.ScopeAccountManage),
		web.Doc("List sign-ins, failed tries, and changes of how you sign in, newest first"))
	web.Route(m, "GET /admin/users/{id}/activity", a.ofPerson, access.Allows(access.ViewUsers), a.Person,
		web.Doc("List what happened to a person's account, newest first"))
}

// Places tells handlers where a request comes from; address returns that.
func Places(address func(*http.Request) string) web.Middleware {
	return func(next web.Handler) web.Handler {
		return func(w http.ResponseWriter, r *http.Request) error {
			return next(w, r.WithContext(At(r.Context(), Place{address(r), r.UserAgent()})))
		}
	}
}

// ListInput is a page of events.
type ListInput struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"100" default:"20"`
	Cursor string `query:"cursor" maxLength:"500"`
}

type securityEvent struct {
	ID        string    `json:"id"`
	Type      Kind      `json:"type" doc:"sign_in, sign_in_failed, password_changed, passkey_added, api_key_created and others"`
	Detail    string    `json:"detail" doc:"What it was about: the ways of a sign-in, a provider, the id of a key"`
	IP        string    `json:"ip"`
	Agent     string    `json:"agent" doc:"What the browser or program called itself"`
	CreatedAt time.Time `json:"createdAt"`
}

type listOutput struct{ Body list.Page[securityEvent] }

func (a API) list(ctx context.Context, in *ListInput) (*listOutput, error) {
	actor, err := access.From(ctx)
	if err != nil {
		return nil, err
	}
	if actor.KeyID != "" {
		return nil, access.ErrNotByKey
	}
	return a.page(ctx, actor.UserID, true, in)
}

type ofPersonInput struct {
	ListInput
	ID string `path:"id" maxLength:"64"`
}

func (a API) ofPerson(ctx context.Context, in *ofPersonInput) (*listOutput, error) {
	reader, err := access.From(ctx)
	if err != nil {
		return nil, err
	}
	return a.page(ctx, in.ID, reader.May(access.ViewPII), &in.ListInput)
}

// page returns one page of what happened to somebody's account; from where only
// if places may be seen.
func (a API) page(ctx context.Context, userID string, places bool, in *ListInput) (*listOutput, error) {
	page, err := list.Make(a.Cursors, "security-events "+userID, in.Cursor, in.Limit, func(e Event) securityEvent {
		if !places {
			e.Address, e.Agent = "", ""
		}
		return securityEvent{e.ID, e.Kind, e.Detail, e.Address, e.Agent, e.At.UTC().Truncate(time.Second)}
	}, func(e Event) string { return e.ID }, func(before string, limit int) ([]Event, error) {
		return a.Trail.List(ctx, userID, before, limit)
	})
	return &listOutput{page}, err
}

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
}

// Mount registers the route.
func (a API) Mount(m *web.Mux) {
	web.Route(m, "GET /v1/users/me/security-events", a.list, access.Needs(access.ScopeAccountManage),
		web.Doc("List sign-ins, failed tries, and changes of how you sign in, newest first"))
}

// Places tells handlers where a request comes from; address returns that.
func Places(address func(*http.Request) string) web.Middleware {
	return func(next web.Handler) web.Handler {
		return func(w http.ResponseWriter, r *http.Request) error {
			return next(w, r.WithContext(At(r.Context(), Place{address(r), r.UserAgent()})))
		}
	}
}

type listInput struct {
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

func (a API) list(ctx context.Context, in *listInput) (*listOutput, error) {
	actor, err := access.From(ctx)
	if err != nil {
		return nil, err
	}
	if actor.KeyID != "" {
		return nil, access.ErrNotByKey
	}
	page, err := list.Make(a.Cursors, "security-events "+actor.UserID, in.Cursor, in.Limit, func(e Event) securityEvent {
		return securityEvent{e.ID, e.Kind, e.Detail, e.Address, e.Agent, e.At.UTC().Truncate(time.Second)}
	}, func(e Event) string { return e.ID }, func(before string, limit int) ([]Event, error) {
		return a.Trail.List(ctx, actor.UserID, before, limit)
	})
	return &listOutput{page}, err
}

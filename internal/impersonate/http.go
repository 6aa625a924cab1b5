package impersonate

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/approval"
	"github.com/rephlo/rephlo/internal/audit"
	"github.com/rephlo/rephlo/internal/list"
	"github.com/rephlo/rephlo/internal/web"
)

// AdminAPI is where administrators ask for impersonations and take their tokens.
type AdminAPI struct {
	Impersonations *Service
	Approvals      *approval.Service
	Cursors        list.Cursors

	operation approval.Operation[wish]
}

// wish is what waits for an approval.
type wish struct {
	UserID string `json:"userId"`
}

// Mount registers the routes.
func (a AdminAPI) Mount(m *web.Mux) {
	a.operation = approval.Define(a.Approvals, approval.Definition[wish]{
		Name: "users.impersonate", Permission: access.Impersonate,
		Check: func(ctx context.Context, _ approval.Request, in wish) error {
			return a.Impersonations.May(ctx, in.UserID)
		},
		Run: func(ctx context.Context, r approval.Request, in wish) (any, error) {
			i, err := a.Impersonations.allow(ctx, r, in.UserID)
			return a.show(i), err
		},
	})
	may := access.Allows(access.Impersonate)
	web.Route(m, "POST /admin/users/{id}/impersonate", a.ask, may, a.Approvals.Asks(), web.Doc("Ask to read as a person for half an hour"))
	web.Route(m, "GET /admin/impersonations", a.list, access.Allows(access.ViewSecurity), web.Doc("List who was allowed to read as whom, newest first"))
	web.Route(m, "POST /admin/impersonations/{id}/token", a.take, may, a.Approvals.Fresh(), web.Status(http.StatusCreated), web.Doc("Take the token of an impersonation that was approved for you"))
	web.Route(m, "DELETE /admin/impersonations/{id}", a.end, access.Allows(access.AnyRole), web.Doc("End an impersonation of yours, or with security.manage anybody's"))
}

type askInput struct {
	ID   string `path:"id" maxLength:"64"`
	Body struct {
		Reason string `json:"reason" minLength:"10" maxLength:"500"`
	}
}

func (a AdminAPI) ask(ctx context.Context, in *askInput) (*approval.PendingOutput, error) {
	return a.Approvals.Answer(a.operation.Ask(ctx, approval.Wish[wish]{Type: "user", For: in.ID, Person: in.ID, Reason: in.Body.Reason, Input: wish{in.ID}}))
}

// Body is an impersonation as administrators see it.
type Body struct {
	ID        string     `json:"id"`
	UserID    string     `json:"userId"`
	AdminID   string     `json:"adminId"`
	Status    string     `json:"status" enum:"approved,active,over"`
	CreatedAt time.Time  `json:"createdAt" doc:"When it was approved"`
	StartedAt *time.Time `json:"startedAt"`
	EndsAt    time.Time  `json:"endsAt" doc:"Before it started: until when it can start"`
}

func (a AdminAPI) show(i Impersonation) Body {
	b := Body{ID: i.ID, UserID: i.UserID, AdminID: i.AdminID, Status: "approved", CreatedAt: i.CreatedAt, EndsAt: i.EndsAt}
	if !i.StartedAt.IsZero() {
		b.Status, b.StartedAt = "active", &i.StartedAt
	}
	if !a.Impersonations.now().Before(i.EndsAt) {
		b.Status = "over"
	}
	return b
}

type listInput struct {
	Limit   int    `query:"limit" minimum:"1" maximum:"100" default:"20"`
	Cursor  string `query:"cursor" maxLength:"500"`
	AdminID string `query:"admin_id" maxLength:"64"`
}

type listOutput struct{ Body list.Page[Body] }

func (a AdminAPI) list(ctx context.Context, in *listInput) (*listOutput, error) {
	page, err := list.Make(a.Cursors, "impersonations", in.Cursor, in.Limit, a.show, func(i Impersonation) string { return i.ID },
		func(before string, limit int) ([]Impersonation, error) {
			return a.Impersonations.List(ctx, in.AdminID, before, limit)
		})
	return &listOutput{page}, err
}

type pathInput struct {
	ID string `path:"id" maxLength:"64"`
}

type tokenOutput struct {
	CacheControl string `header:"Cache-Control"`
	Body         TokenBody
}

// TokenBody is an impersonation with its token.
type TokenBody struct {
	ID          string    `json:"id"`
	UserID      string    `json:"userId"`
	AccessToken string    `json:"accessToken" doc:"For reading as the person; there is no refresh token"`
	TokenType   string    `json:"tokenType"`
	Scope       string    `json:"scope"`
	ExpiresAt   time.Time `json:"expiresAt"`
}

func (a AdminAPI) take(ctx context.Context, in *pathInput) (*tokenOutput, error) {
	i, token, err := a.Impersonations.Take(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return &tokenOutput{"no-store", TokenBody{i.ID, i.UserID, token.Reveal(), "Bearer", strings.Join(Scopes(), " "), i.EndsAt}}, nil
}

func (a AdminAPI) end(ctx context.Context, in *pathInput) (*struct{}, error) {
	return nil, a.Impersonations.End(ctx, in.ID)
}

// Middleware keeps impersonations to reading, and remembers in log what was
// read. It goes inside of the authentication and of the log's own.
func Middleware(log *audit.Log) web.Middleware {
	return func(next web.Handler) web.Handler {
		return func(w http.ResponseWriter, r *http.Request) error {
			a, err := access.From(r.Context())
			if err != nil || a.By == "" {
				return next(w, r)
			}
			if r.Method != http.MethodGet && r.Method != http.MethodHead {
				return ErrReadOnly
			}
			// Before it is read: who cannot be remembered reads nothing.
			err = log.Write(r.Context(), audit.Change{
				Action: "users.impersonated_read", Type: "user", ID: a.UserID, Actor: a.By, After: map[string]any{"path": r.URL.Path},
			})
			if err != nil {
				return err
			}
			return next(w, r)
		}
	}
}

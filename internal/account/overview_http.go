package account

import (
	"context"
	"net/http"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/audit"
	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/web"
)

// Person is for routes about one person, whose id is in the path: it lets those
// through who may see people, if there is such a person, and remembers who saw
// what.
func (s *Service) Person() web.Option {
	return web.With(func(next web.Handler) web.Handler {
		return func(w http.ResponseWriter, r *http.Request) error {
			if _, err := access.Admin(r.Context(), access.ViewUsers); err != nil {
				return err
			}
			u, err := s.ByID(r.Context(), r.PathValue("id"))
			if err != nil {
				return err
			}
			if err := next(w, r); err != nil {
				return err
			}
			return s.Audit.Write(r.Context(), audit.Change{Action: "users.view", Type: "user", ID: u.ID, After: map[string]any{"path": r.URL.Path}})
		}
	})
}

// Overview is what is known of somebody beyond their account. What the reader
// may not see is null.
type Overview struct {
	Tier         string           `json:"tier" doc:"Whose rights they have now"`
	Subscription any              `json:"subscription" doc:"With subscriptions.view: as in GET /admin/subscriptions/{id}"`
	Credits      *OverviewCredits `json:"credits" doc:"With credits.view_balance"`
	Limits       any              `json:"limits" doc:"With tiers.view: those of their own, as PUT /admin/users/{id}/limits answers; null: those of the tier"`
	Counts       OverviewCounts   `json:"counts"`
	Factors      []string         `json:"secondFactors"`
}

// OverviewCredits is somebody's balance.
type OverviewCredits struct {
	Remaining money.Credits `json:"remaining"`
	Held      money.Credits `json:"held"`
	Total     money.Credits `json:"total"`
}

// OverviewCounts says how many of a thing somebody has; up to 100 of each are
// counted.
type OverviewCounts struct {
	APIKeys  int `json:"apiKeys" doc:"Active ones"`
	Apps     int `json:"apps"`
	Sessions int `json:"sessions"`
	Webhooks int `json:"webhooks"`
}

type overviewOutput struct {
	Body struct {
		PersonBody
		Roles   []string    `json:"roles"`
		History []stateBody `json:"history" doc:"The latest changes of the status, newest first"`
		Overview
	}
}

func (a AdminAPI) overview(ctx context.Context, in *personInput) (*overviewOutput, error) {
	reader, u, p, err := a.look(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	out := &overviewOutput{}
	out.Body.PersonBody, out.Body.Roles, out.Body.History = p.Body.PersonBody, p.Body.Roles, p.Body.History
	out.Body.Overview, err = a.Overview(ctx, reader, u)
	return out, err
}

package consent

import (
	"context"
	"net/http"

	"github.com/rephlo/rephlo/internal/identity/authorize"
	"github.com/rephlo/rephlo/internal/identity/grant"
	"github.com/rephlo/rephlo/internal/identity/pages"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/web"
)

// API serves the step.
type API struct {
	DB        *sqldb.DB
	Authorize *authorize.Service
	Grants    *grant.Service
	Screens   *pages.Screens
	Logos     *Logos
}

// Mount registers the route.
func (a API) Mount(m *web.Mux) {
	m.Handle("GET /interaction/{uid}/logo", a.logo, web.Doc("Show the picture of the client of a sign-in under way"), web.Gives(http.StatusOK, "image/png", nil))
	m.Handle("POST /interaction/{uid}/consent", a.Authorize.Step(a.decide), a.Screens.Form()...)
}

func (a API) decide(w http.ResponseWriter, r *http.Request, t authorize.Turn) (bool, error) {
	decision := t.Form.Get("decision")
	if decision == "cancel" {
		return false, a.Authorize.Deny(w, r, t.In)
	}
	ss, ok, err := a.Authorize.Present(r, t.In, t.Client)
	if err != nil {
		return false, err
	}
	if !ok || t.Form.Get("user") != ss.UserID {
		return true, nil // signed out, or somebody else, meanwhile
	}
	switch decision {
	case "allow":
		err = a.allow(r.Context(), t, ss)
	case "continue":
		err = a.Authorize.Clicked(r.Context(), t.In, ss.UserID)
	}
	return err == nil, err
}

// allow remembers what was agreed to, with the limit on spending if the page had
// a field for one.
func (a API) allow(ctx context.Context, t authorize.Turn, ss authorize.Session) error {
	limit, err := grant.ParseLimit(t.Form.Get("limit"))
	if err != nil {
		return err
	}
	return a.DB.InTx(ctx, func(ctx context.Context) error {
		clientID := t.In.Request.ClientID
		err := a.Grants.SaveConsent(ctx, grant.Consent{UserID: ss.UserID, ClientID: clientID, Scopes: ss.Scopes, Resources: t.In.Request.Resources})
		if err != nil {
			return err
		}
		if t.Form.Has("limit") {
			if err := a.Grants.Limit(ctx, ss.UserID, clientID, limit); err != nil {
				return err
			}
		}
		return a.Authorize.Allowed(ctx, t.In, ss.UserID)
	})
}

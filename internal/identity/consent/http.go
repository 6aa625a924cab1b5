package consent

import (
	"context"
	"net/http"

	"github.com/rephlo/rephlo/internal/identity/authorize"
	"github.com/rephlo/rephlo/internal/identity/grant"
	"github.com/rephlo/rephlo/internal/identity/oauth"
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
}

// Mount registers the route.
func (a API) Mount(m *web.Mux) {
	m.Handle("POST /interaction/{uid}/consent", a.decide, web.Errors(a.Screens.WriteError), web.SameOrigin(), web.Body(64<<10))
}

func (a API) decide(w http.ResponseWriter, r *http.Request) error {
	v, err := oauth.ReadForm(r)
	if err != nil {
		return err
	}
	in, c, err := a.Authorize.Open(r)
	if err != nil {
		return err
	}
	if v.Get("decision") == "cancel" {
		return a.Authorize.Deny(w, r, in)
	}
	ss, ok, err := a.Authorize.Present(r, in, c)
	if err != nil {
		return err
	}
	if !ok || v.Get("user") != ss.UserID {
		return authorize.Resume(w, r, in) // signed out, or somebody else, meanwhile
	}
	switch v.Get("decision") {
	case "allow":
		err = a.allow(r.Context(), in, ss)
	case "continue":
		err = a.Authorize.Clicked(r.Context(), in, ss.UserID)
	}
	if err != nil {
		return err
	}
	return authorize.Resume(w, r, in)
}

func (a API) allow(ctx context.Context, in authorize.Interaction, ss authorize.Session) error {
	return a.DB.InTx(ctx, func(ctx context.Context) error {
		err := a.Grants.SaveConsent(ctx, grant.Consent{
			UserID: ss.UserID, ClientID: in.Request.ClientID, Scopes: ss.Scopes, Resources: in.Request.Resources,
		})
		if err != nil {
			return err
		}
		return a.Authorize.Allowed(ctx, in, ss.UserID)
	})
}

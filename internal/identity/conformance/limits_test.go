package conformance_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/identity/client"
	"github.com/rephlo/rephlo/internal/role"
)

// Section 3.1: a client can be for some people only, from the page to the
// refresh, and its administrator decides which claims it gets besides.
func TestAClientIsForSomePeopleOnly(t *testing.T) {
	run(t, func(w *world) {
		admin, err := w.core.ClientAdmin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		c := w.web(func(c *client.Client) {
			c.AllowedRoles, c.ExtraClaims = access.SystemRoles()[:1], map[string]string{"groups": "roles", "who": "email"}
		})
		for _, prompt := range []string{"", "none"} {
			p := w.browser.open(c.url("prompt", prompt))
			if prompt == "" {
				p = w.browser.login(p)
			}
			if p.location == nil || p.location.Query().Get("error") != "access_denied" {
				t.Errorf("prompt %q without the role: %d %v %s", prompt, p.status, p.location, p.body)
			}
		}
		phone, _ := w.enroll(w.web().signIn("scope", "openid account.manage").Access)
		w.advance(30 * time.Second)
		roles := w.roles()
		if err := roles.Found(t.Context(), w.ada.ID); err != nil {
			t.Fatal(err)
		}
		held, err := roles.Of(t.Context(), w.ada.ID)
		if err != nil || len(held.Roles) == 0 {
			t.Fatal(held, err)
		}
		if _, err := admin.Edit(t.Context(), c.id, client.Edit{AllowedRoles: &held.Roles}, because); err != nil {
			t.Fatal(err)
		}
		w.advance(time.Second)
		b := w.newBrowser()
		p := b.submit(b.login(b.open(c.url("scope", "openid offline_access"))), "code", phone.code())
		p = b.finish(p)
		if p.location == nil || p.location.Query().Get("code") == "" {
			t.Fatalf("with the role: %d %s", p.status, p.body)
		}
		got := c.exchange(p.location.Query().Get("code"))
		var user map[string]any
		w.get(w.idp+"/oauth/userinfo", &user, bearer(got.Access))
		for name, claims := range map[string]map[string]any{"ID token": w.claims(got.ID), "userinfo": user} {
			groups, _ := claims["groups"].([]any)
			if !slices.Contains(groups, any(held.Roles[0])) || claims["who"] != w.ada.Email || claims["roles"] != nil || claims["email"] != nil {
				t.Errorf("%s: %v", name, claims)
			}
		}
		if again := c.refresh(got.Refresh); again.Status != 200 {
			t.Fatalf("refresh: %+v", again)
		} else if _, err := admin.Edit(t.Context(), c.id, client.Edit{AllowedRoles: &[]string{"nobody"}}, because); err != nil {
			t.Fatal(err)
		} else {
			w.want("a refresh of who may not any more", c.refresh(again.Refresh), 400, "invalid_grant")
		}
	})
}

// A client can ask for surer sign-ins than the request does, for shorter lives of
// its tokens than others have, and have a default resource.
func TestAClientHasItsOwnLimits(t *testing.T) {
	run(t, func(w *world) {
		c := w.web(func(c *client.Client) {
			c.DefaultResource = w.api
			c.AccessSeconds, c.IDSeconds, c.RefreshSeconds = 60, 120, 3600
			c.Grants = append(c.Grants, client.GrantCredentials)
		})
		got := c.signIn("scope", "openid offline_access")
		id, access := w.claims(got.ID), w.claims(got.Access)
		if got.ExpiresIn != 60 || id["exp"].(float64)-id["iat"].(float64) != 120 || access["aud"] != w.api {
			t.Errorf("answer %+v, ID token %v, access token %v", got, id, access)
		}
		if own := c.token(form("grant_type", "client_credentials")); own.ExpiresIn != 60 {
			t.Errorf("for itself: %+v", own)
		}
		w.advance(59 * time.Minute)
		if got = c.refresh(got.Refresh); got.ExpiresIn != 60 {
			t.Fatalf("refresh: %+v", got)
		}
		w.advance(2 * time.Minute)
		w.want("after an hour", c.refresh(got.Refresh), 400, "invalid_grant")

		sure := w.web(func(c *client.Client) { c.MinimumACR = "mfa" })
		b := w.newBrowser()
		if p := b.login(b.open(sure.url())); p.location != nil || !strings.Contains(p.body, "authenticator") {
			t.Errorf("who has no second factor is not led to one: %d %v %s", p.status, p.location, p.body)
		}
		phone, _ := w.enroll(w.web().signIn("scope", "openid account.manage", "prompt", "login").Access)
		w.advance(30 * time.Second)
		p := b.finish(b.submit(b.login(b.open(sure.url("prompt", "login"))), "code", phone.code()))
		if p.location == nil || p.location.Query().Get("code") == "" {
			t.Fatalf("with a second factor: %d %s", p.status, p.body)
		}
		if acr := w.claims(sure.exchange(p.location.Query().Get("code")).ID)["acr"]; acr != "mfa" {
			t.Errorf("the sign-in is %v", acr)
		}
	})
}

// roles gives people roles.
func (w *world) roles() *role.Service {
	return role.New(role.Needs{
		DB: w.core.DB, Bus: w.core.Bus, Audit: w.core.Audit, Now: w.now, Staff: w.accounts.SetStaff,
		Usable: func(context.Context, string) (bool, error) { return true, nil },
	})
}

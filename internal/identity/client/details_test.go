package client_test

import (
	"errors"
	"maps"
	"strings"
	"testing"

	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/identity/client"
	"github.com/rephlo/rephlo/internal/identity/oauth"
)

// What a client says of itself is shown to people, and what an administrator
// says of it goes into tokens: neither can be anything.
func TestDetailsAndLimitsThatAreRefused(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*client.Client){
		"logo": func(c *client.Client) { c.Logo = "http://a.test/x.png" }, "policy": func(c *client.Client) { c.Policy = "javascript:alert(1)" },
		"terms":    func(c *client.Client) { c.Terms = "https://u:p@a.test/" },
		"contacts": func(c *client.Client) { c.Contacts = []string{"a\u202eb"} }, "owner": func(c *client.Client) { c.Owner = strings.Repeat("o", 121) },
		"homepage":        func(c *client.Client) { c.Homepage = "data:text/html,x" },
		"defaultResource": func(c *client.Client) { c.DefaultResource = "notes" }, "minimumAcr": func(c *client.Client) { c.MinimumACR = "loa3" },
		"accessTokenLife": func(c *client.Client) { c.AccessSeconds = 3601 }, "allowedRoles": func(c *client.Client) { c.AllowedRoles = []string{""} },
		"extraClaims": func(c *client.Client) { c.ExtraClaims = map[string]string{"sub": "email"} },
		"idTokenAlg":  func(c *client.Client) { c.IDTokenAlg = "none" },
	} {
		c := client.Client{ID: "shop", Name: "Shop", AuthMethod: client.AuthBasic, RefreshLife: client.LifeSession}
		if err := c.Check(); err != nil {
			t.Fatal(err)
		}
		spoil(&c)
		err := c.Check()
		if f, ok := errors.AsType[*fault.Error](err); !ok || f.Code != client.ErrInvalid.Code || f.Param != name {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// An extra claim is a copy of a claim that there is, whatever the scopes are.
func TestExtraClaimsAreCopies(t *testing.T) {
	t.Parallel()
	l := client.Limits{ExtraClaims: map[string]string{"groups": "roles", "who": "email", "where": "zoneinfo"}}
	got := map[string]any{"sub": "usr_1"}
	l.AddClaims(got, oauth.Profile{ID: "usr_1", Email: "ada@example.com", Roles: []string{"auditor"}})
	if roles, _ := got["groups"].([]string); len(roles) != 1 || got["who"] != "ada@example.com" || len(got) != 3 {
		t.Errorf("claims %v", maps.All(got))
	}
	if !(client.Limits{}).Admits(nil) || (client.Limits{AllowedRoles: []string{"a", "b"}}).Admits([]string{"c"}) || !(client.Limits{AllowedRoles: []string{"a", "b"}}).Admits([]string{"c", "b"}) {
		t.Error("the roles that may use a client")
	}
}

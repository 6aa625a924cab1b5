package conformance_test

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/identity/client"
)

type signIns struct {
	Data []struct {
		ID, Device, IP string
		Current        bool
	}
}

// A15, A22: people see where they are signed in, and end it, with what came from
// it.
func TestPeopleEndTheirSignIns(t *testing.T) {
	run(t, func(w *world) {
		bound := w.web(func(c *client.Client) { c.RefreshLife = "session" })
		mine := bound.signIn("scope", "openid account.manage credits.read")
		other := w.newBrowser()
		other.login(other.open(w.idp+"/account")).has(t, 200, "Your account")
		third := w.newBrowser()
		third.login(third.open(w.idp+"/account")).has(t, 200, "Your account")

		var list signIns
		if status := w.ask("GET", "/v1/users/me/sessions", mine.Access, nil, &list); status != 200 || len(list.Data) != 3 {
			t.Fatalf("list: %d %+v", status, list)
		}
		current := list.Data[2]
		if !current.Current || list.Data[0].Current || current.IP != "127.0.0.1" || current.Device != "Go-http-client/1.1" {
			t.Errorf("the oldest is %+v", current)
		}
		if status := w.ask("DELETE", "/v1/users/me/sessions/"+list.Data[0].ID, mine.Access, nil, nil); status != 204 {
			t.Errorf("end one: %d", status)
		}
		if status := w.ask("DELETE", "/v1/users/me/sessions/"+list.Data[0].ID, mine.Access, nil, nil); status != 404 {
			t.Errorf("end it again: %d", status)
		}
		third.open(w.idp+"/account").has(t, 200, `name="password"`)
		other.open(w.idp+"/account/security").has(t, 200, "this one", "Where you are signed in")
		if status := w.ask("DELETE", "/v1/users/me/sessions", mine.Access, nil, nil); status != 204 {
			t.Errorf("end the others: %d", status)
		}
		other.open(w.idp+"/account").has(t, 200, `name="password"`)
		if status := w.me(mine.Access); status != 200 {
			t.Errorf("the own token: %d", status)
		}
		other.login(other.open(w.idp+"/account/security")).has(t, 200, "this one")
		other.send(w.idp+"/account/security/sessions/end-others", form()).has(t, 200, "signed out everywhere else")
		if status := w.me(mine.Access); status != 401 {
			t.Errorf("the token of an ended sign-in: %d", status)
		}
		eve := w.person("eve@example.com")
		w.ada = eve
		b := w.newBrowser()
		b.login(b.open(w.idp+"/account")).has(t, 200, "eve@example.com")
		b.send(w.idp+"/account/security/sessions/end", form("id", current.ID)).has(t, 200) // another's: nothing happens
		other.open(w.idp+"/account").has(t, 200, "ada@example.com")
	})
}

// O28: people see the apps that they let in, and taking it back ends their
// tokens.
func TestPeopleRemoveApps(t *testing.T) {
	run(t, func(w *world) {
		shop, tool := w.web(func(c *client.Client) { c.Name = "Shop" }), w.web(func(c *client.Client) { c.Name = "Tool" })
		got := shop.signIn("scope", "openid offline_access credits.read")
		w.advance(time.Second)
		mine := tool.signIn("scope", "openid account.manage")
		var list struct {
			Data []struct {
				ClientID, ClientName string
				Scopes               []string
				LastUsedAt           *time.Time
			}
		}
		if status := w.ask("GET", "/v1/users/me/apps", mine.Access, nil, &list); status != 200 || len(list.Data) != 2 {
			t.Fatalf("list: %d %+v", status, list)
		}
		if a := list.Data[1]; a.ClientName != "Shop" || len(a.Scopes) != 3 || a.LastUsedAt == nil || list.Data[0].LastUsedAt != nil {
			t.Errorf("apps %+v", list.Data)
		}
		w.browser.open(w.idp+"/account/apps").has(t, 200, "Shop", "Tool", "see your balance and usage")
		w.browser.send(w.idp+"/account/apps/remove", form("client", shop.id)).has(t, 200, "no access any more", "Tool")
		if status := w.me(got.Access); status != 401 {
			t.Errorf("its access token: %d", status)
		}
		w.want("its refresh token", shop.refresh(got.Refresh), 400, "invalid_grant")
		w.browser.open(shop.url()).has(t, 200, `value="allow"`) // asked anew
		if status := w.ask(http.MethodDelete, "/v1/users/me/apps/"+url.PathEscape(tool.id), mine.Access, nil, nil); status != 204 {
			t.Errorf("remove: %d", status)
		}
		if status := w.ask("GET", "/v1/users/me/apps", mine.Access, nil, nil); status != 401 {
			t.Errorf("the removed app itself: %d", status)
		}
	})
}

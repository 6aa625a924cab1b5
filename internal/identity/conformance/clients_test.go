package conformance_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/rephlo/rephlo/internal/identity/client"
)

const because = "a reason that is long enough"

// Section 11: what an administrator does to a client holds at once: a disabled
// client is unknown everywhere, its tokens die, and they stay dead when it is
// let in again; a client that was deleted has no consent left to inherit.
func TestAdministratorsRuleOverClients(t *testing.T) {
	run(t, func(w *world) {
		admin, err := w.core.ClientAdmin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		edit := func(id string, e client.Edit) {
			t.Helper()
			if _, err := admin.Edit(t.Context(), id, e, because); err != nil {
				t.Fatal(err)
			}
		}
		c := w.web()
		sign := func() tokens { return c.exchange(c.code("scope", "openid offline_access credits.read")) }
		got := sign()
		if w.me(got.Access) != http.StatusOK {
			t.Fatal("the token does not work")
		}
		off, on := client.StatusDisabled, client.StatusActive
		edit(c.id, client.Edit{Status: &off})
		if status := w.me(got.Access); status != http.StatusUnauthorized {
			t.Errorf("the token of a disabled client: %d", status)
		}
		if r := c.refresh(got.Refresh); r.Error != "invalid_client" {
			t.Errorf("its refresh: %+v", r)
		}
		if p := w.browser.open(c.url()); p.status != http.StatusBadRequest || p.location != nil {
			t.Errorf("its page: %d %v", p.status, p.location)
		}
		edit(c.id, client.Edit{Status: &on})
		if status := w.me(got.Access); status != http.StatusUnauthorized {
			t.Errorf("the old token is alive again: %d", status)
		}
		if r := c.refresh(got.Refresh); r.Error != "invalid_grant" {
			t.Errorf("the old refresh token is alive again: %+v", r)
		}

		w.advance(1e9)
		got = sign()
		if err := admin.Delete(t.Context(), c.id, false, because); err == nil || !strings.Contains(err.Error(), "confirm") {
			t.Errorf("deleted while somebody is signed in: %v", err)
		}
		if err := admin.Delete(t.Context(), c.id, true, because); err != nil {
			t.Fatal(err)
		}
		if status := w.me(got.Access); status != http.StatusUnauthorized {
			t.Errorf("the token of a deleted client: %d", status)
		}
		next := w.web(func(heir *client.Client) { heir.ID = c.id })
		if q := next.authorize("prompt", "none", "scope", "openid"); q.Get("error") != "consent_required" {
			t.Errorf("an heir of the id is let in: %v", q)
		}
	})
}

package conformance_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/identity/client"
)

type deviceAnswer struct {
	DeviceCode, UserCode, Where, Complete string
	ExpiresIn, Interval                   int64
}

func (c *rp) device(scope string) deviceAnswer {
	c.w.t.Helper()
	var raw map[string]any
	v := form("scope", scope)
	if c.secret == "" {
		v.Set("client_id", c.id)
	}
	status, header := c.w.post(c.w.idp+"/oauth/device", v, &raw, c.auth)
	if status != 200 || header.Get("Cache-Control") != "no-store" {
		c.w.t.Fatalf("device authorization: %d %v", status, raw)
	}
	text := func(name string) string { s, _ := raw[name].(string); return s }
	number := func(name string) int64 { n, _ := raw[name].(float64); return int64(n) }
	return deviceAnswer{
		text("device_code"), text("user_code"), text("verification_uri"), text("verification_uri_complete"), number("expires_in"), number("interval"),
	}
}

func (c *rp) poll(d deviceAnswer) tokens {
	return c.token(form("grant_type", client.GrantDevice, "device_code", d.DeviceCode))
}

func tv(w *world) *rp {
	return w.web(func(c *client.Client) {
		c.Name, c.Public, c.AuthMethod, c.Native, c.RedirectURIs = "TV", true, client.AuthNone, true, nil
		c.Grants = []string{client.GrantDevice, client.GrantRefresh}
	})
}

// O30: a device without a browser is let in by a person who typed its code and
// was told what asks.
func TestSec_O30(t *testing.T) {
	run(t, func(w *world) {
		c := tv(w)
		d := c.device("openid offline_access llm.inference")
		if len(d.UserCode) != 9 || d.UserCode[4] != '-' || strings.Trim(d.UserCode, "BCDFGHJKLMNPQRSTVWXZ-") != "" || d.ExpiresIn != 600 || d.Interval != 5 ||
			d.Where != w.idp+"/device" || d.Complete != d.Where+"?user_code="+d.UserCode {
			t.Fatalf("answer %+v", d)
		}
		w.want("before anybody decided", c.poll(d), 400, "authorization_pending")
		w.want("an early question", c.poll(d), 400, "slow_down")
		w.advance(6 * time.Second)
		w.want("earlier than the longer interval", c.poll(d), 400, "slow_down")
		w.advance(16 * time.Second)
		w.want("in time", c.poll(d), 400, "authorization_pending")

		// The code in the address fills the form, and decides nothing.
		b := w.browser
		p := b.open(d.Complete)
		if !strings.Contains(p.body, `value="`+d.UserCode+`"`) {
			t.Fatalf("page %s", p.body)
		}
		p = b.submit(p, "user_code", " "+strings.ToLower(strings.ReplaceAll(d.UserCode, "-", ""))+" ")
		p = b.submit(p, "name", w.ada.Email, "password", password)
		for _, want := range []string{"TV", "Continue only if you started it yourself", "127.0.0.1", "use AI models", "Go-http-client"} {
			if !strings.Contains(p.body, want) {
				t.Errorf("the page lacks %q: %s", want, p.body)
			}
		}
		w.advance(30 * time.Second)
		w.want("while the page is open", c.poll(d), 400, "authorization_pending")
		p = b.submit(p, "decision", "allow")
		if p.status != 200 || !strings.Contains(p.body, "Your device is connected") {
			t.Fatalf("%d %s", p.status, p.body)
		}
		w.advance(30 * time.Second)
		got := c.poll(d)
		if got.Status != 200 || got.Refresh == "" || got.ID == "" || w.claims(got.ID)["sub"] != w.ada.ID {
			t.Fatalf("tokens %+v", got)
		}
		w.advance(30 * time.Second)
		w.want("a second time", c.poll(d), 400, "invalid_grant")
		if next := c.refresh(got.Refresh); next.Status != 200 {
			t.Errorf("refresh: %+v", next)
		}

		// What is covered by an earlier consent is asked again all the same.
		d = c.device("openid")
		p = b.submit(b.open(d.Where), "user_code", d.UserCode)
		if !strings.Contains(p.body, "Continue only if you started it yourself") {
			t.Fatalf("the second device is not asked for: %s", p.body)
		}
		other := w.newBrowser().open(p.url.String())
		if other.status != 400 {
			t.Errorf("another browser got %d", other.status)
		}
		if p = b.submit(p, "decision", "cancel"); !strings.Contains(p.body, "The device was refused") {
			t.Errorf("page %s", p.body)
		}
		w.want("a device that was refused", c.poll(d), 400, "access_denied")
	})
}

func TestDevicesThatAreRefused(t *testing.T) {
	run(t, func(w *world) {
		c, other := tv(w), tv(w)
		d := c.device("openid")
		w.want("of another client", other.poll(d), 400, "invalid_grant")
		w.want("invented", c.poll(deviceAnswer{DeviceCode: "rph_dc_" + strings.Repeat("A", 43)}), 400, "invalid_grant")
		w.want("missing", c.token(form("grant_type", client.GrantDevice)), 400, "invalid_request")
		var got tokens
		got.Status, _ = w.post(w.idp+"/oauth/device", form("client_id", c.id, "scope", "everything"), &got)
		w.want("no scope", got, 400, "invalid_scope")
		got = tokens{}
		got.Status, _ = w.post(w.idp+"/oauth/device", form("client_id", c.id, "scope", "openid", "resource", "https://other.test"), &got)
		w.want("another resource", got, 400, "invalid_target")
		got = tokens{}
		got.Status, _ = w.post(w.idp+"/oauth/device", form("client_id", "rephlo-desktop", "scope", "openid"), &got)
		w.want("a client without the grant", got, 400, "unauthorized_client")

		// Wrong codes are counted by address.
		b := w.browser
		for range 5 {
			if p := b.send(w.idp+"/device", form("user_code", "BBBB-BBBB")); p.status != 200 || !strings.Contains(p.body, "wrong or too old") {
				t.Fatalf("%d %s", p.status, p.body)
			}
		}
		if p := b.send(w.idp+"/device", form("user_code", d.UserCode)); p.status != 429 {
			t.Errorf("the 6th code in a minute: %d", p.status)
		}
		w.advance(61 * time.Second)
		if p := b.send(w.idp+"/device", form("user_code", d.UserCode)); p.status != 200 || strings.Contains(p.body, "wrong or too old") {
			t.Errorf("a minute later: %d %s", p.status, p.body)
		}
		w.advance(10 * time.Minute)
		w.want("too late", c.poll(d), 400, "expired_token")
		if p := b.send(w.idp+"/device", form("user_code", d.UserCode)); !strings.Contains(p.body, "wrong or too old") {
			t.Errorf("a code that is over leads to %s", p.body)
		}
	})
}

// I6: of many that redeem one device code, and of many that decide about it,
// one counts.
func TestRacingDevices(t *testing.T) {
	run(t, func(w *world) {
		c := tv(w)
		d := c.device("openid")
		p := w.browser.submit(w.browser.open(d.Where), "user_code", d.UserCode)
		p = w.browser.submit(p, "name", w.ada.Email, "password", password)
		var wg sync.WaitGroup
		ends := make([]page, 8)
		for i := range ends {
			wg.Go(func() { ends[i] = w.browser.submit(p, "decision", "allow") })
		}
		wg.Wait()
		done := 0
		for _, e := range ends {
			if strings.Contains(e.body, "Your device is connected") {
				done++
			}
		}
		if done != 1 {
			t.Errorf("%d approvals, want 1", done)
		}
		answers := make([]tokens, 30)
		for i := range answers {
			wg.Go(func() { answers[i] = c.poll(d) })
		}
		wg.Wait()
		won := 0
		for _, a := range answers {
			if a.Status == 200 {
				won++
			} else if a.Error != "slow_down" && a.Error != "invalid_grant" {
				t.Errorf("a loser got %d %s", a.Status, a.Error)
			}
		}
		if won != 1 {
			t.Errorf("%d got tokens, want 1", won)
		}
	})
}

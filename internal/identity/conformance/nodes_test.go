package conformance_test

import (
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/identity/client"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
)

// nodes starts two servers of one installation on one PostgreSQL database. The
// second is reached at an address of its own, as behind a load balancer.
func nodes(t *testing.T) (a, b *world) {
	t.Helper()
	database := dbtest.Postgres(t)
	a = newWorld(t, database)
	ports := make([]string, 2)
	for i := range ports {
		l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // closed at once
		if err != nil {
			t.Fatal(err)
		}
		ports[i] = l.Addr().String()
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	b = serve(t, database, map[string]string{
		"api-addr": ports[0], "idp-addr": ports[1], "api-url": a.api, "idp-url": a.idp, "master-key-file": a.core.Config.MasterKeyFile,
	}, a.ahead)
	b.api, b.idp, b.ada = "http://"+ports[0], "http://"+ports[1], a.ada
	return a, b
}

// on is the client when it talks to another server.
func (c *rp) on(w *world) *rp {
	out := *c
	out.w = w
	return &out
}

// race sends n requests, half of them to each server, and counts what won says.
func race(n int, send func(i int) bool) int {
	var mu sync.Mutex
	var wg sync.WaitGroup
	won := 0
	for i := range n {
		wg.Go(func() {
			ok := send(i)
			mu.Lock()
			defer mu.Unlock()
			if ok {
				won++
			}
		})
	}
	wg.Wait()
	return won
}

// eventually waits up to five seconds, as long as another server may take to
// hear of a change.
func (w *world) eventually(what string, ok func() bool) {
	w.t.Helper()
	for began := time.Now(); time.Since(began) < 5*time.Second; {
		if ok() {
			return
		}
		select {
		case <-w.t.Context().Done():
			return
		case <-time.After(20 * time.Millisecond):
		}
	}
	w.t.Errorf("%s took more than 5 seconds", what)
}

// I6 on two servers: what works once works once, wherever it is tried; and what
// is taken back at one is refused at the other within five seconds.
func TestTwoServers(t *testing.T) {
	t.Parallel()
	a, b := nodes(t)
	c := a.web()
	f := a.fapi()
	a.eventually("a new client", func() bool { return c.on(b).refresh("x").Error == "invalid_grant" })
	pick := func(i int) *world { return []*world{a, b}[i%2] }

	code := c.code("scope", "openid offline_access credits.read")
	var mu sync.Mutex
	var got tokens
	if won := race(40, func(i int) bool {
		r := c.on(pick(i)).exchange(code)
		if r.Status == 200 {
			mu.Lock()
			defer mu.Unlock()
			got = r
		}
		return r.Status == 200
	}); won != 1 {
		t.Fatalf("a code was exchanged %d times", won)
	}

	// The 39 that came too late have revoked what the first one gave.
	b.eventually("the revocation by reuse", func() bool { return b.me(got.Access) == 401 })

	got = c.signIn("scope", "openid offline_access credits.read")
	if b.me(got.Access) != 200 {
		t.Fatal("a token of one server is refused by the other")
	}
	successors := map[string]bool{}
	n := 20
	if text := os.Getenv("REPHLO_TEST_REFRESHES"); text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
		n = max(20, n/10) // the limit on one client's requests would refuse more
	}
	open := make(chan struct{}, 200) // no more connections than that at once
	if won := race(n, func(i int) bool {
		open <- struct{}{}
		defer func() { <-open }()
		r := c.on(pick(i)).refresh(got.Refresh)
		mu.Lock()
		defer mu.Unlock()
		successors[r.Refresh] = true
		return r.Status == 200
	}); won != n || len(successors) != 1 {
		t.Errorf("%d of %d refreshes succeeded with %d successors, want all with one", won, n, len(successors))
	}
	if status, _ := a.post(a.idp+"/oauth/revoke", form("token", got.Access), nil, c.auth); status != 200 {
		t.Errorf("revocation: %d", status)
	}
	if a.me(got.Access) != 401 {
		t.Error("the server that revoked the token takes it still")
	}
	b.eventually("the revocation", func() bool { return b.me(got.Access) == 401 })

	push := f.pushRequest()
	if won := race(12, func(i int) bool {
		w := pick(i)
		uri := strings.Replace(f.visit(push.URI), a.idp, w.idp, 1)
		return w.newBrowser().open(uri).status == 200
	}); won != 1 {
		t.Errorf("%d browsers were shown one pushed request", won)
	}

	once := f.proof("/oauth/par")
	if won := race(20, func(i int) bool {
		g := &fapi{rp: f.on(pick(i)), key: f.key, dpop: f.dpop}
		v := g.request()
		v.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
		v.Set("client_assertion", f.key.Assertion(f.id, a.idp, a.now()))
		return g.push(v, once).Status == 201
	}); won != 1 {
		t.Errorf("a DPoP proof was accepted %d times", won)
	}
	same := f.assertion(f.request())
	if won := race(20, func(i int) bool {
		g := &fapi{rp: f.on(pick(i)), key: f.key, dpop: f.dpop}
		return g.push(same).Status == 201
	}); won != 1 {
		t.Errorf("a client assertion was accepted %d times", won)
	}

	a.advance(61 * time.Second) // past the limits on failures
	box := a.web(func(c *client.Client) {
		c.Public, c.AuthMethod, c.Native, c.RedirectURIs, c.Grants = true, client.AuthNone, true, nil, []string{client.GrantDevice}
	})
	b.eventually("another new client", func() bool { return box.on(b).poll(deviceAnswer{}).Error == "invalid_request" })
	d := box.device("openid")
	p := a.browser.submit(a.browser.open(d.Where), "user_code", d.UserCode)
	if p = a.browser.submit(p, "decision", "allow"); !strings.Contains(p.body, "Your device is connected") {
		t.Fatalf("%d %s", p.status, p.body)
	}
	if won := race(20, func(i int) bool { return box.on(pick(i)).poll(d).Status == 200 }); won != 1 {
		t.Errorf("a device code was redeemed %d times", won)
	}
}

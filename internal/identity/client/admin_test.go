package client_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/audit"
	"github.com/rephlo/rephlo/internal/bus"
	"github.com/rephlo/rephlo/internal/identity/client"
	"github.com/rephlo/rephlo/internal/identity/oauth"
	"github.com/rephlo/rephlo/internal/seal"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
)

const because = "a reason that is long enough"

// office is a place where clients are administered.
type office struct {
	client.Admin
	t     *testing.T
	ahead atomic.Int64
	ended []string // clients whose tokens were ended
	live  int64
}

func (o *office) now() time.Time { return time.Now().Add(time.Duration(o.ahead.Load())) }

func newOffice(t *testing.T, db *sqldb.DB) *office {
	t.Helper()
	o := &office{t: t}
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	box, err := seal.NewBox(make([]byte, seal.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	s := client.New(client.Needs{DB: db, Bus: bus.New(db, log, o.now), Log: log, Now: o.now})
	if err := s.Seed(t.Context()); err != nil {
		t.Fatal(err)
	}
	o.Admin = client.Admin{
		Clients: s, Audit: audit.New(audit.Needs{DB: db, Box: box, Log: log, Now: o.now}),
		End:  func(_ context.Context, id string, _ bool) error { o.ended = append(o.ended, id); return nil },
		Live: func(context.Context, string) (int64, error) { return o.live, nil },
	}
	return o
}

func (o *office) must(c client.Client, err error) client.Client {
	o.t.Helper()
	if err != nil {
		o.t.Fatal(err)
	}
	return c
}

// shop is what an administrator says of a server application.
func shop() client.Edit {
	return client.Edit{Name: new("Shop"), RedirectURIs: new([]string{"https://shop.test/cb"}), Scopes: new([]string{"openid"})}
}

func TestADisabledClientIsUnknownAndItsTokensEnd(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		o := newOffice(t, db)
		c, text, err := o.Create(t.Context(), shop(), because)
		o.must(c, err)
		cr := client.Credentials{ID: c.ID, Secret: text, Method: client.AuthBasic}
		if _, err := o.Clients.Authenticate(t.Context(), cr); err != nil {
			t.Fatal(err)
		}
		o.must(o.Edit(t.Context(), c.ID, client.Edit{Status: new(client.StatusDisabled)}, because))
		if _, err := o.Clients.ByID(t.Context(), c.ID); !errors.Is(err, client.ErrUnknown) {
			t.Errorf("a disabled client: %v, want ErrUnknown", err)
		}
		if _, err := o.Clients.Authenticate(t.Context(), cr); !errors.Is(err, oauth.ErrInvalidClient) {
			t.Errorf("it proves itself: %v", err)
		}
		if !slices.Equal(o.ended, []string{c.ID}) {
			t.Errorf("the tokens of %v ended", o.ended)
		}
		if shown := o.must(o.One(t.Context(), c.ID)); !shown.Disabled {
			t.Error("administrators see another state")
		}
		o.must(o.Edit(t.Context(), c.ID, client.Edit{Status: new(client.StatusActive)}, because))
		if _, err := o.Clients.Authenticate(t.Context(), cr); err != nil || len(o.ended) != 1 {
			t.Errorf("enabled again: %v; the tokens of %v ended", err, o.ended)
		}
	})
}

func TestAnOldSecretWorksForADayBesideItsSuccessor(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		o := newOffice(t, db)
		c, first, err := o.Create(t.Context(), shop(), because)
		o.must(c, err)
		rotate := func(leaked bool) string {
			c, text, err := o.RotateSecret(t.Context(), c.ID, leaked, because)
			o.must(c, err)
			return text
		}
		works := func(want bool, secrets ...string) {
			t.Helper()
			for i, text := range secrets {
				_, err := o.Clients.Authenticate(t.Context(), client.Credentials{ID: c.ID, Secret: text, Method: client.AuthBasic})
				if (err == nil) != want {
					t.Errorf("secret %d: %v, want it to work: %t", i, err, want)
				}
			}
		}
		second := rotate(false)
		works(true, first, second)
		third := rotate(false)
		works(true, second, third)
		works(false, first) // two at most
		o.ahead.Add(int64(client.Overlap - time.Minute))
		works(true, second, third)
		o.ahead.Add(int64(2 * time.Minute))
		works(false, second)
		works(true, third)
		if len(o.ended) != 0 {
			t.Errorf("a change of secrets has ended the tokens of %v", o.ended)
		}
		fourth := rotate(true)
		works(false, third)
		works(true, fourth)
		if !slices.Equal(o.ended, []string{c.ID}) {
			t.Errorf("after a leak the tokens of %v ended", o.ended)
		}
		if _, _, err := o.RotateSecret(t.Context(), "rephlo-cli", false, because); !errors.Is(err, client.ErrNoSecret) {
			t.Errorf("a public client: %v, want ErrNoSecret", err)
		}
	})
}

func TestAStartKeepsWhatAnAdministratorChanged(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		o := newOffice(t, db)
		before := o.must(o.One(t.Context(), "rephlo-desktop"))
		o.must(o.Edit(t.Context(), "rephlo-desktop", client.Edit{Name: new("Our Desk"), Homepage: new("https://desk.test/"), DefaultMaxAge: new(int64(60))}, because))
		// An older program has left other settings behind.
		for _, q := range []string{`UPDATE client_client SET settings = REPLACE(settings, '"credits.read"', '"billing.manage"') WHERE id = 'rephlo-desktop'`} {
			if _, err := db.Q(t.Context()).ExecContext(t.Context(), q); err != nil {
				t.Fatal(err)
			}
		}
		next := newOffice(t, db)
		c := next.must(next.One(t.Context(), "rephlo-desktop"))
		if c.Name != "Our Desk" || c.Homepage != "https://desk.test/" || c.DefaultMaxAge == nil || *c.DefaultMaxAge != 60 {
			t.Errorf("what was changed is lost: %+v", c)
		}
		if !slices.Equal(c.Scopes, before.Scopes) {
			t.Errorf("what was not changed is not renewed: %v", c.Scopes)
		}
		next.must(next.Edit(t.Context(), "rephlo-desktop", client.Edit{Homepage: new(""), DefaultMaxAge: new(int64(-1))}, because))
		last := newOffice(t, db)
		if c := last.must(last.One(t.Context(), "rephlo-desktop")); c.Homepage != "" || c.DefaultMaxAge != nil {
			t.Errorf("what was taken away comes back: %+v", c)
		}
	})
}

func TestChangesOfClientsAreCheckedAndRemembered(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		o := newOffice(t, db)
		c, _, err := o.Create(t.Context(), shop(), because)
		o.must(c, err)
		for name, e := range map[string]client.Edit{
			"a public client with a secret": {AuthMethod: new(client.AuthNone), PKCE: new("optional")},
			"an unknown word":               {PKCE: new("perhaps")},
			"a redirect to plain http":      {RedirectURIs: new([]string{"http://shop.test/cb"})},
			"a loopback redirect":           {RedirectURIs: new([]string{"http://127.0.0.1/cb"})},
			"no consent of a stranger":      {Consent: new("skip")},
			"an unknown scope":              {Scopes: new([]string{"root"})},
		} {
			if _, err := o.Edit(t.Context(), c.ID, e, because); !errors.Is(err, client.ErrInvalid) {
				t.Errorf("%s: %v, want ErrInvalid", name, err)
			}
		}
		if _, err := o.Edit(t.Context(), "nobody", shop(), because); !errors.Is(err, client.ErrUnknown) {
			t.Errorf("nobody: %v, want ErrUnknown", err)
		}
		o.must(o.Edit(t.Context(), c.ID, client.Edit{Development: new(true), RedirectURIs: new([]string{"http://127.0.0.1/cb"})}, because))
		o.must(o.Verify(t.Context(), c.ID, true, because))
		if got := o.must(o.One(t.Context(), c.ID)); !got.Verified || len(o.ended) != 0 {
			t.Errorf("%+v; ended %v", got, o.ended)
		}
		if err := o.Delete(t.Context(), "rephlo-cli", true, because); !errors.Is(err, client.ErrSeeded) {
			t.Errorf("delete a part of the product: %v, want ErrSeeded", err)
		}
		if o.live = 2; !errors.Is(o.Delete(t.Context(), c.ID, false, because), client.ErrInUse) {
			t.Error("a client in use is deleted without confirm")
		}
		if err := o.Delete(t.Context(), c.ID, true, because); err != nil {
			t.Fatal(err)
		}
		if _, err := o.One(t.Context(), c.ID); !errors.Is(err, client.ErrUnknown) || !slices.Equal(o.ended, []string{c.ID}) {
			t.Errorf("after the deletion: %v; ended %v", err, o.ended)
		}
		entries, err := o.Audit.List(t.Context(), audit.Filter{}, 10)
		if err != nil {
			t.Fatal(err)
		}
		var actions []string
		for _, e := range slices.Backward(entries) {
			actions = append(actions, e.Action)
		}
		if want := []string{"clients.create", "clients.edit", "clients.edit", "clients.delete"}; !slices.Equal(actions, want) {
			t.Errorf("remembered is %v, want %v", actions, want)
		}
	})
}

package client

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"slices"
	"time"

	"github.com/rephlo/rephlo/internal/audit"
	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/identity/oauth"
)

// Faults of administering clients.
var (
	ErrSeeded   = fault.New(fault.Conflict, "client_is_built_in", "This client is part of the product and cannot be deleted. Disable it instead.")
	ErrInUse    = fault.New(fault.Conflict, "client_in_use", "People are signed in with this client. Send confirm to sign them out and delete it.")
	ErrNoSecret = fault.New(fault.Conflict, "client_has_no_secret", "This client proves itself without a secret of ours.")
)

// adminPrefix begins the ids that we choose for clients of administrators.
const adminPrefix = "app_"

// Admin lets administrators make and change clients. Every change is in the
// audit log, in its own transaction, and in force on all servers within
// seconds. It is safe for concurrent use.
type Admin struct {
	Clients *Service
	Audit   *audit.Log
	// End ends all tokens of a client, and with forget what people agreed to, in
	// the transaction that ctx carries.
	End func(ctx context.Context, clientID string, forget bool) error
	// Live counts a client's refresh tokens that work.
	Live func(ctx context.Context, clientID string) (int64, error)
	// Ours are the addresses of this installation, which no other resource has.
	Ours []string
}

// own reports whether r has an address of ours.
func (a Admin) own(r Resource) bool {
	return slices.ContainsFunc(append(r.Aliases, r.ID), func(name string) bool {
		return slices.ContainsFunc(a.Ours, func(ours string) bool { return oauth.SameResource(name, ours) })
	})
}

// Create stores a new client, under an id of our choice if it names none, and
// returns it with its secret, which is shown once. ErrInvalid and ErrExists.
func (a Admin) Create(ctx context.Context, e Edit, reason string) (c Client, secret string, err error) {
	if c = (Client{AuthMethod: AuthBasic, RefreshLife: LifeSession, Grants: []string{GrantCode}}); e.ID != nil {
		c.ID = *e.ID
	} else {
		var b [12]byte
		_, _ = rand.Read(b[:]) // never fails (crypto/rand)
		c.ID = adminPrefix + base64.RawURLEncoding.EncodeToString(b[:])
	}
	if _, err := e.apply(&c); err != nil {
		return c, "", err
	}
	if err := a.Clients.Prepare(ctx, e.chosen()); err != nil {
		return c, "", err
	}
	c.CreatedAt = a.Clients.now().UTC().Truncate(time.Microsecond)
	err = a.Clients.db.InTx(ctx, func(ctx context.Context) error {
		if secret, err = a.Clients.Create(ctx, c); err != nil {
			return err
		}
		return a.Audit.Write(ctx, audit.Change{Action: "clients.create", Type: "client", ID: c.ID, Reason: reason, After: Show(c, a.Clients.now())})
	})
	return c, secret, err
}

// One returns a client, also one that is disabled, or ErrUnknown.
func (a Admin) One(ctx context.Context, id string) (Client, error) {
	c, ok := a.Clients.current(ctx).byID[id]
	if !ok {
		return Client{}, ErrUnknown
	}
	return c, nil
}

// List returns the clients with an id below before ("": all), the last ids
// first. It keeps those that keep reports true for.
func (a Admin) List(ctx context.Context, before string, limit int, keep func(Client) bool) []Client {
	var out []Client
	for _, c := range a.Clients.current(ctx).byID {
		if (before == "" || c.ID < before) && keep(c) {
			out = append(out, c)
		}
	}
	slices.SortFunc(out, func(x, y Client) int {
		if x.ID > y.ID {
			return -1
		}
		return 1
	})
	return out[:min(limit, len(out))]
}

// Edit changes the settings of a client that e names. Disabling it, taking
// away a grant, a scope, a resource or people, or asking for surer sign-ins ends
// its tokens. ErrUnknown and ErrInvalid.
func (a Admin) Edit(ctx context.Context, id string, e Edit, reason string) (Client, error) {
	if err := a.Clients.Prepare(ctx, e.chosen()); err != nil {
		return Client{}, err
	}
	return a.change(ctx, id, "clients.edit", reason, func(ctx context.Context, c *Client) error {
		was := *c
		named, err := e.apply(c)
		if err != nil {
			return err
		}
		for _, name := range named {
			if !slices.Contains(c.edited, name) {
				c.edited = append(slices.Clone(c.edited), name)
			}
		}
		if c.readKeys(); c.hasSecret() && len(c.secrets) == 0 {
			return ErrInvalid.Saying("A client that has no secret cannot begin to use one. Make another client.").At("authMethod")
		}
		if err := c.check(); err != nil {
			return err
		}
		if c.Disabled && !was.Disabled || narrowed(was.Grants, c.Grants) || narrowed(was.Scopes, c.Scopes) || narrowed(was.Resources, c.Resources) || c.stricter(was) {
			return a.End(ctx, id, false)
		}
		return nil
	})
}

// Verify vouches for who a client is, or takes that back.
func (a Admin) Verify(ctx context.Context, id string, verified bool, reason string) (Client, error) {
	return a.Edit(ctx, id, Edit{Verified: &verified}, reason)
}

// RotateSecret gives a client another secret and returns it: it is shown once.
// The one before works for Overlap still, or if it leaked, no more, and then
// the client's tokens end too. ErrUnknown and ErrNoSecret.
func (a Admin) RotateSecret(ctx context.Context, id string, leaked bool, reason string) (c Client, secret string, err error) {
	c, err = a.change(ctx, id, "clients.rotate_secret", reason, func(ctx context.Context, c *Client) error {
		if !c.hasSecret() {
			return ErrNoSecret
		}
		overlap := Overlap
		if leaked {
			overlap = 0
		}
		shown, kept := newSecret()
		secret, c.secrets = shown, append(c.followed(a.Clients.now(), overlap), kept)
		if leaked {
			return a.End(ctx, id, false)
		}
		return nil
	})
	return c, secret, err
}

// Delete removes a client and all that people let it do. While it has refresh
// tokens that work it needs confirm, else ErrInUse. ErrUnknown and ErrSeeded.
func (a Admin) Delete(ctx context.Context, id string, confirm bool, reason string) error {
	return a.Clients.db.InTx(ctx, func(ctx context.Context) error {
		c, err := a.Clients.store.one(ctx, id)
		switch {
		case err != nil:
			return err
		case c.builtIn():
			return ErrSeeded
		case !confirm:
			if live, err := a.Live(ctx, id); err != nil {
				return err
			} else if live > 0 {
				return ErrInUse.With("liveRefreshTokens", live)
			}
		}
		if err := a.Clients.store.remove(ctx, id); err != nil {
			return err
		}
		if err := a.End(ctx, id, true); err != nil {
			return err
		}
		if err := a.Audit.Write(ctx, audit.Change{Action: "clients.delete", Type: "client", ID: id, Reason: reason, Before: Show(c, a.Clients.now())}); err != nil {
			return err
		}
		return a.Clients.bus.Publish(ctx, busKind, id)
	})
}

// change lets do change a client, in one transaction with what the audit log
// remembers of it, and has every process read it anew.
func (a Admin) change(ctx context.Context, id, action, reason string, do func(ctx context.Context, c *Client) error) (Client, error) {
	var c Client
	err := a.Clients.db.InTx(ctx, func(ctx context.Context) error {
		was, err := a.Clients.store.one(ctx, id)
		if err != nil {
			return err
		}
		c = was
		if err := do(ctx, &c); err != nil {
			return err
		}
		now := a.Clients.now()
		if err := a.Clients.store.write(ctx, c, now); err != nil {
			return err
		}
		if err := a.Audit.Write(ctx, audit.Change{Action: action, Type: "client", ID: id, Reason: reason, Before: Show(was, now), After: Show(c, now)}); err != nil {
			return err
		}
		return a.Clients.bus.Publish(ctx, busKind, id)
	})
	return c, err
}

// stricter reports whether some people who could use the client before cannot
// any more, or must sign in more surely.
func (c Client) stricter(was Client) bool {
	return len(c.AllowedRoles) > 0 && (len(was.AllowedRoles) == 0 || narrowed(was.AllowedRoles, c.AllowedRoles)) ||
		c.MinimumACR != "" && c.MinimumACR != was.MinimumACR && !oauth.MeetsACR(was.MinimumACR, []string{c.MinimumACR})
}

// narrowed reports whether something was taken away.
func narrowed(was, is []string) bool {
	return slices.ContainsFunc(was, func(s string) bool { return !slices.Contains(is, s) })
}

package account

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"time"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/web"
)

// API serves accounts on the Resource API.
type API struct{ Accounts *Service }

// Mount registers the routes.
func (a API) Mount(m *web.Mux) {
	web.Route(m, "GET /v1/users/me", a.me, access.Needs(access.ScopeUser), web.Doc("Who the credential belongs to"))
	web.Route(m, "PATCH /v1/users/me", a.update, access.Needs(access.ScopeUser), web.Doc("Change your own profile"))
	a.mountSignUp(m)
}

// Address returns the network address that r came from, without the port.
func Address(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

type addressKey struct{}

// withAddress keeps the address for a typed handler, which sees no request.
func withAddress() web.Option {
	return web.With(func(next web.Handler) web.Handler {
		return func(w http.ResponseWriter, r *http.Request) error {
			return next(w, r.WithContext(context.WithValue(r.Context(), addressKey{}, Address(r))))
		}
	})
}

func address(ctx context.Context) string {
	a, _ := ctx.Value(addressKey{}).(string)
	return a
}

type profile struct {
	ID                string     `json:"id"`
	Email             string     `json:"email"`
	EmailVerified     bool       `json:"emailVerified"`
	Username          string     `json:"username"`
	FirstName         *string    `json:"firstName"`
	LastName          *string    `json:"lastName"`
	ProfilePictureURL *string    `json:"profilePictureUrl"`
	Status            string     `json:"status" enum:"active,suspended,banned,deleted"`
	CreatedAt         time.Time  `json:"createdAt"`
	LastLoginAt       *time.Time `json:"lastLoginAt"`
}

type profileOutput struct{ Body profile }

func profileOf(u User) *profileOutput {
	p := profile{
		ID: u.ID, Email: u.Email, EmailVerified: u.Verified, Username: u.Username, FirstName: optional(u.FirstName),
		LastName: optional(u.LastName), Status: u.State, CreatedAt: u.CreatedAt.UTC().Truncate(time.Second),
	}
	if !u.LastLoginAt.IsZero() {
		at := u.LastLoginAt.UTC().Truncate(time.Second)
		p.LastLoginAt = &at
	}
	return &profileOutput{p}
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func (a API) me(ctx context.Context, _ *struct{}) (*profileOutput, error) {
	actor, err := access.From(ctx)
	if err != nil {
		return nil, err
	}
	u, err := a.Accounts.ByID(ctx, actor.UserID)
	if err != nil {
		return nil, err
	}
	return profileOf(u), nil
}

// clearable is a text of a PATCH: empty when absent, cleared when null.
type clearable string

const cleared clearable = "\x00"

// UnmarshalJSON implements json.Unmarshaler.
func (c *clearable) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		*c = cleared
		return nil
	}
	var text string
	err := json.Unmarshal(b, &text)
	*c = clearable(text)
	return err
}

// change returns what a Profile takes.
func (c clearable) change() *string {
	text := string(c)
	switch c {
	case "":
		return nil
	case cleared:
		text = ""
	}
	return &text
}

type updateInput struct {
	Body struct {
		FirstName clearable `json:"firstName,omitempty" nullable:"true" minLength:"1" maxLength:"100"`
		LastName  clearable `json:"lastName,omitempty" nullable:"true" minLength:"1" maxLength:"100"`
		Username  string    `json:"username,omitempty" minLength:"3" maxLength:"30"`
	}
}

func (a API) update(ctx context.Context, in *updateInput) (*profileOutput, error) {
	actor, err := access.From(ctx)
	if err != nil {
		return nil, err
	}
	if actor.KeyID != "" {
		return nil, access.ErrNotByKey
	}
	b := in.Body
	p := Profile{FirstName: b.FirstName.change(), LastName: b.LastName.change(), Username: optional(b.Username)}
	if p == (Profile{}) {
		return nil, ErrInvalid.Saying("The body has no field to change. Send firstName, lastName or username.")
	}
	u, err := a.Accounts.Update(ctx, actor.UserID, p)
	if err != nil {
		return nil, err
	}
	return profileOf(u), nil
}

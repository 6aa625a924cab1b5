package keys

import (
	"context"
	"net/http"
	"time"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/web"
)

// AdminAPI lets administrators see and change the keys that sign tokens.
type AdminAPI struct{ Keys *Service }

// recent is how long ago the sign-in may be of who changes keys.
const recent = 5 * time.Minute

// Mount registers the routes.
func (a AdminAPI) Mount(m *web.Mux) {
	manage := web.All(access.Allows(access.ManageSecurity), access.Recent(recent, a.Keys.now))
	web.Route(m, "GET /admin/signing-keys", a.list, access.Allows(access.ViewSecurity), web.Doc("List the keys that sign tokens"))
	web.Route(m, "POST /admin/signing-keys/rotate", a.rotate, manage, web.Status(http.StatusCreated), web.Doc("Publish the next key that signs tokens"))
	web.Route(m, "POST /admin/signing-keys/{kid}/revoke", a.revoke, manage, web.Doc("Remove a key at once; every token that it signed is refused"))
}

type keyBody struct {
	KID         string    `json:"kid"`
	Alg         string    `json:"alg"`
	State       State     `json:"state" enum:"pending,active,retired"`
	PublishedAt time.Time `json:"publishedAt"`
	ActiveFrom  time.Time `json:"activeFrom"`
	RetireAt    time.Time `json:"retireAt" doc:"When it signs no more"`
	RemoveAt    time.Time `json:"removeAt" doc:"When its last token has ended"`
}

func show(l Listed) keyBody {
	at := func(t time.Time) time.Time { return t.UTC().Truncate(time.Second) }
	return keyBody{l.KID, l.Alg, l.State, at(l.PublishedAt), at(l.ActiveFrom), at(l.RetireAt), at(l.RemoveAt)}
}

type keysOutput struct {
	Body struct {
		Data []keyBody `json:"data"`
	}
}

func (a AdminAPI) list(ctx context.Context, _ *struct{}) (*keysOutput, error) {
	list, err := a.Keys.List(ctx)
	if err != nil {
		return nil, err
	}
	out := &keysOutput{}
	out.Body.Data = []keyBody{}
	for _, l := range list {
		out.Body.Data = append(out.Body.Data, show(l))
	}
	return out, nil
}

type rotateInput struct {
	Body struct {
		Alg    string `json:"alg,omitempty" enum:"ES256,RS256,EdDSA" doc:"Of which algorithm; default: ES256"`
		Now    bool   `json:"now,omitempty" doc:"Sign with it at once; otherwise after a day, when everybody who keeps our keys has read it"`
		Reason string `json:"reason" minLength:"10" maxLength:"500"`
	}
}

type keyOutput struct{ Body keyBody }

func (a AdminAPI) rotate(ctx context.Context, in *rotateInput) (*keyOutput, error) {
	l, err := a.Keys.Rotate(ctx, in.Body.Alg, in.Body.Now, in.Body.Reason)
	if err != nil {
		return nil, err
	}
	return &keyOutput{show(l)}, nil
}

type revokeInput struct {
	KID  string `path:"kid" maxLength:"100"`
	Body struct {
		Reason string `json:"reason" minLength:"10" maxLength:"500"`
	}
}

func (a AdminAPI) revoke(ctx context.Context, in *revokeInput) (*struct{}, error) {
	return nil, a.Keys.Revoke(ctx, in.KID, in.Body.Reason)
}

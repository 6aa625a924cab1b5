package role

import (
	"context"
	"net/http"
	"time"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/web"
)

func (a AdminAPI) mountNetworks(m *web.Mux, recent web.Option) {
	manage := web.All(access.Allows(access.ManageSecurity), recent)
	web.Route(m, "GET /admin/ip-allow-list", a.networks, access.Allows(access.ViewSecurity), web.Doc("List the networks from which roles may administer"))
	web.Route(m, "POST /admin/ip-allow-list", a.allow, manage, web.Status(http.StatusCreated), web.Doc("Allow a role a network; one without any is allowed everywhere"))
	web.Route(m, "PATCH /admin/ip-allow-list/{id}", a.reword, manage, web.Doc("Change an allowed network"))
	web.Route(m, "DELETE /admin/ip-allow-list/{id}", a.disallow, manage, web.Doc("Remove an allowed network"))
}

type fromKey struct{}

// editor is who asks, from the address that the gate saw.
func editor(ctx context.Context, reason string) (Editor, error) {
	actor, err := access.From(ctx)
	address, _ := ctx.Value(fromKey{}).(string)
	return Editor{By: actor, Address: address, Reason: reason}, err
}

type networkBody struct {
	ID        string    `json:"id"`
	RoleID    string    `json:"roleId"`
	CIDR      string    `json:"cidr"`
	Note      string    `json:"note"`
	CreatedBy string    `json:"createdBy"`
	CreatedAt time.Time `json:"createdAt"`
}

func showNetwork(n Network) networkBody {
	return networkBody{ID: n.ID, RoleID: n.RoleID, CIDR: n.Prefix.String(), Note: n.Note, CreatedBy: n.By, CreatedAt: n.At}
}

type networksOutput struct {
	Body struct {
		Data []networkBody `json:"data"`
	}
}

func (a AdminAPI) networks(ctx context.Context, _ *struct{}) (*networksOutput, error) {
	list, err := a.Roles.Networks(ctx)
	if err != nil {
		return nil, err
	}
	out := &networksOutput{}
	out.Body.Data = []networkBody{}
	for _, n := range list {
		out.Body.Data = append(out.Body.Data, showNetwork(n))
	}
	return out, nil
}

type networkOutput struct {
	Location string `header:"Location"`
	Body     networkBody
}

func oneNetwork(n Network, err error) (*networkOutput, error) {
	if err != nil {
		return nil, err
	}
	return &networkOutput{Body: showNetwork(n)}, nil
}

type allowInput struct {
	Body struct {
		RoleID string `json:"roleId" minLength:"1" maxLength:"64"`
		CIDR   string `json:"cidr" minLength:"2" maxLength:"64" doc:"An address or a network, IPv4 or IPv6"`
		Note   string `json:"note,omitempty" maxLength:"200"`
		Reason string `json:"reason" minLength:"10" maxLength:"500"`
	}
}

func (a AdminAPI) allow(ctx context.Context, in *allowInput) (*networkOutput, error) {
	e, err := editor(ctx, in.Body.Reason)
	if err != nil {
		return nil, err
	}
	out, err := oneNetwork(a.Roles.Allow(ctx, e, in.Body.RoleID, in.Body.CIDR, in.Body.Note))
	if out != nil {
		out.Location = "/admin/ip-allow-list/" + out.Body.ID
	}
	return out, err
}

type rewordInput struct {
	ID   string `path:"id" maxLength:"64"`
	Body struct {
		CIDR   *string `json:"cidr,omitempty" minLength:"2" maxLength:"64"`
		Note   *string `json:"note,omitempty" maxLength:"200"`
		Reason string  `json:"reason" minLength:"10" maxLength:"500"`
	}
}

func (a AdminAPI) reword(ctx context.Context, in *rewordInput) (*networkOutput, error) {
	e, err := editor(ctx, in.Body.Reason)
	if err != nil {
		return nil, err
	}
	return oneNetwork(a.Roles.Reword(ctx, e, in.ID, in.Body.CIDR, in.Body.Note))
}

type disallowInput struct {
	ID     string `path:"id" maxLength:"64"`
	Reason string `query:"reason" required:"true" minLength:"10" maxLength:"500"`
}

func (a AdminAPI) disallow(ctx context.Context, in *disallowInput) (*struct{}, error) {
	e, err := editor(ctx, in.Reason)
	if err != nil {
		return nil, err
	}
	return nil, a.Roles.Disallow(ctx, e, in.ID)
}

package client

import (
	"context"
	"net/http"
	"net/url"

	"github.com/rephlo/rephlo/internal/web"
)

func (a AdminAPI) mountResources(m *web.Mux, view, manage web.Option) {
	web.Route(m, "GET /admin/resources", a.listResources, view, web.Doc("List the APIs of others that take our tokens"))
	web.Route(m, "POST /admin/resources", a.createResource, manage, web.Status(http.StatusCreated), web.Doc("Let an API take our tokens"))
	web.Route(m, "GET /admin/resources/{id}", a.oneResource, view, web.Doc("Show a resource"))
	web.Route(m, "PATCH /admin/resources/{id}", a.editResource, manage, web.Doc("Change a resource, disable it or enable it again"))
	web.Route(m, "DELETE /admin/resources/{id}", a.removeResource, manage, web.Doc("Delete a resource; no tokens are issued for it any more"))
}

type resourcesOutput struct {
	Body struct {
		Data []ShownResource `json:"data"`
	}
}

func (a AdminAPI) listResources(ctx context.Context, _ *struct{}) (*resourcesOutput, error) {
	out := &resourcesOutput{}
	out.Body.Data = []ShownResource{}
	for _, r := range a.Resources(ctx) {
		out.Body.Data = append(out.Body.Data, ShowResource(r))
	}
	return out, nil
}

type resourceOutput struct {
	Location string `header:"Location"`
	Body     ShownResource
}

func shownResource(r Resource, err error) (*resourceOutput, error) {
	if err != nil {
		return nil, err
	}
	return &resourceOutput{Body: ShowResource(r)}, nil
}

type createResourceInput struct {
	Body struct {
		ID string `json:"id" minLength:"1" maxLength:"512" doc:"Its address: the audience of its tokens"`
		ResourceEdit
		ReasonField
	}
}

func (a AdminAPI) createResource(ctx context.Context, in *createResourceInput) (*resourceOutput, error) {
	out, err := shownResource(a.CreateResource(ctx, in.Body.ID, in.Body.ResourceEdit, in.Body.Reason))
	if err == nil {
		out.Location = "/admin/resources/" + url.PathEscape(in.Body.ID)
	}
	return out, err
}

// ResourcePath names the resource that an administrator asks about.
type ResourcePath struct {
	ID string `path:"id" maxLength:"512" doc:"Its address, percent-encoded"`
}

func (a AdminAPI) oneResource(ctx context.Context, in *ResourcePath) (*resourceOutput, error) {
	return shownResource(a.Resource(ctx, in.ID))
}

type editResourceInput struct {
	ResourcePath
	Body struct {
		ResourceEdit
		ReasonField
	}
}

func (a AdminAPI) editResource(ctx context.Context, in *editResourceInput) (*resourceOutput, error) {
	return shownResource(a.EditResource(ctx, in.ID, in.Body.ResourceEdit, in.Body.Reason))
}

type removeResourceInput struct {
	ResourcePath
	Reason string `query:"reason" required:"true" minLength:"10" maxLength:"500"`
}

func (a AdminAPI) removeResource(ctx context.Context, in *removeResourceInput) (*struct{}, error) {
	return nil, a.DeleteResource(ctx, in.ID, in.Reason)
}

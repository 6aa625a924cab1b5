package role

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/rephlo/rephlo/internal/access"
)

type roleBody struct {
	ID          string              `json:"id"`
	Name        string              `json:"name"`
	Description string              `json:"description"`
	System      bool                `json:"system" doc:"It cannot be changed"`
	Permissions []access.Permission `json:"permissions"`
	UpdatedAt   *time.Time          `json:"updatedAt"`
}

type roleOutput struct {
	Location string `header:"Location"`
	ETag     string `header:"ETag"`
	Body     roleBody
}

func showRole(r Role) roleBody {
	return roleBody{
		ID: r.ID, Name: r.Name, Description: r.Description, System: r.System, Permissions: append([]access.Permission{}, r.Permissions...),
		UpdatedAt: timeOrNull(r.UpdatedAt),
	}
}

func oneRole(r Role, err error) (*roleOutput, error) {
	if err != nil {
		return nil, err
	}
	return &roleOutput{ETag: `"` + strconv.FormatInt(r.Version, 10) + `"`, Body: showRole(r)}, nil
}

type rolesOutput struct {
	Body struct {
		Data []roleBody `json:"data"`
	}
}

func (a AdminAPI) list(ctx context.Context, _ *struct{}) (*rolesOutput, error) {
	roles, err := a.Roles.Roles(ctx)
	if err != nil {
		return nil, err
	}
	out := &rolesOutput{}
	for _, r := range roles {
		out.Body.Data = append(out.Body.Data, showRole(r))
	}
	return out, nil
}

type roleInput struct {
	ID string `path:"id" maxLength:"64"`
}

func (a AdminAPI) one(ctx context.Context, in *roleInput) (*roleOutput, error) {
	return oneRole(a.Roles.ByID(ctx, in.ID))
}

type defineRoleInput struct {
	Body struct {
		Name        string              `json:"name" minLength:"3" maxLength:"40"`
		Description string              `json:"description,omitempty" maxLength:"500"`
		Permissions []access.Permission `json:"permissions" maxItems:"100"`
		Reason      string              `json:"reason" minLength:"10" maxLength:"500"`
	}
}

func (a AdminAPI) define(ctx context.Context, in *defineRoleInput) (*roleOutput, error) {
	actor, err := access.From(ctx)
	if err != nil {
		return nil, err
	}
	r, err := a.Roles.Define(ctx, actor, in.Body.Reason, Definition{in.Body.Name, in.Body.Description, in.Body.Permissions})
	out, err := oneRole(r, err)
	if out != nil {
		out.Location = "/admin/roles/" + r.ID
	}
	return out, err
}

type redefineRoleInput struct {
	ID    string `path:"id" maxLength:"64"`
	Match string `header:"If-Match" maxLength:"64"`
	Body  struct {
		Name        *string              `json:"name,omitempty" minLength:"3" maxLength:"40"`
		Description *string              `json:"description,omitempty" maxLength:"500"`
		Permissions *[]access.Permission `json:"permissions,omitempty" maxItems:"100"`
		Reason      string               `json:"reason" minLength:"10" maxLength:"500"`
	}
}

func (a AdminAPI) redefine(ctx context.Context, in *redefineRoleInput) (*roleOutput, error) {
	actor, err := access.From(ctx)
	if err != nil {
		return nil, err
	}
	seen, err := version(in.Match)
	if err != nil {
		return nil, err
	}
	return oneRole(a.Roles.Redefine(ctx, actor, in.Body.Reason, in.ID, seen, func(d *Definition) {
		if in.Body.Name != nil {
			d.Name = *in.Body.Name
		}
		if in.Body.Description != nil {
			d.Description = *in.Body.Description
		}
		if in.Body.Permissions != nil {
			d.Permissions = *in.Body.Permissions
		}
	}))
}

// version reads an If-Match header; 0 is any version.
func version(match string) (int64, error) {
	if match == "" || match == "*" {
		return 0, nil
	}
	n, err := strconv.ParseInt(strings.Trim(match, `"`), 10, 64)
	if err != nil || n < 1 {
		return 0, ErrEdited
	}
	return n, nil
}

type undefineRoleInput struct {
	ID     string `path:"id" maxLength:"64"`
	Match  string `header:"If-Match" maxLength:"64"`
	Reason string `query:"reason" required:"true" minLength:"10" maxLength:"500"`
}

func (a AdminAPI) undefine(ctx context.Context, in *undefineRoleInput) (*struct{}, error) {
	seen, err := version(in.Match)
	if err != nil {
		return nil, err
	}
	return nil, a.Roles.Undefine(ctx, in.Reason, in.ID, seen)
}

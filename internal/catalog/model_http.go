package catalog

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"time"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/list"
	"github.com/rephlo/rephlo/internal/web"
)

func (a AdminAPI) mountModels(m *web.Mux) {
	view, edit, move := access.Allows(access.ViewModels), access.Allows(access.EditModels), access.Allows(access.MoveModels)
	web.Route(m, "GET /admin/models", a.listModels, view, web.Doc("List the models with all that is stored"))
	web.Route(m, "POST /admin/models", a.createModel, edit, web.Status(http.StatusCreated), web.Doc("Add a model as a draft"))
	web.Route(m, "GET /admin/models/{id}", a.oneModel, view, web.Doc("Show a model"))
	web.Route(m, "GET /admin/models/{id}/history", a.modelHistory, view, web.Doc("List the changes of a model, newest first"))
	web.Route(m, "PUT /admin/models/{id}", a.replaceModel, edit, web.Doc("Replace a model"))
	web.Route(m, "PATCH /admin/models/{id}", a.editModel, edit, web.Doc("Change a model"))
	for step, text := range map[Step]string{
		Publish: "Offer a draft", MarkLegacy: "Say that a model will go", Unmark: "Take that back",
		Archive: "Offer a model no longer", Unarchive: "Offer it again",
	} {
		web.Route(m, "POST /admin/models/{id}/"+string(step), a.move(step), move, web.Doc(text))
	}
	web.Route(m, "GET /admin/models/{id}/parameters", a.parameters, view, web.Doc("Show which parameters a model takes"))
	web.Route(m, "PUT /admin/models/{id}/parameters", a.setParameters, edit, web.Doc("Say which parameters a model takes"))
	web.Route(m, "DELETE /admin/models/{id}/parameters/{parameter}", a.dropParameter, edit, web.Status(http.StatusNoContent), web.Doc("Take the constraint of a parameter away"))
	a.mountAccess(m)
}

// ModelPath names the model that an administrator asks about.
type ModelPath struct {
	ID string `path:"id" maxLength:"100"`
}

type modelsInput struct {
	PageInput
	State    string `query:"state" enum:"draft,active,legacy,archived"`
	Provider string `query:"provider" maxLength:"64"`
	Tier     string `query:"tier" maxLength:"40" doc:"Only models that this tier may call"`
}

type modelsOutput struct{ Body list.Page[Entry] }

type entryOutput struct {
	Location string `header:"Location"`
	ETag     string `header:"ETag"`
	Body     Entry
}

func newEntryOutput(e Entry) *entryOutput { return &entryOutput{ETag: ETag(e.Version), Body: e} }

func (a AdminAPI) listModels(ctx context.Context, in *modelsInput) (*modelsOutput, error) {
	all, err := a.Models.Entries(ctx)
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(e Entry) bool {
		return in.State != "" && string(e.State) != in.State ||
			in.Provider != "" && !slices.ContainsFunc(e.Routes, func(r EntryRoute) bool { return r.Provider == in.Provider }) ||
			in.Tier != "" && !e.Access.Allows(in.Tier, a.Models.needs.Tiers)
	})
	body, err := page(a.Cursors, "models "+in.State+" "+in.Provider+" "+in.Tier, all, in.PageInput, func(e Entry) string { return e.ID })
	return &modelsOutput{Body: body}, err
}

func (a AdminAPI) oneModel(ctx context.Context, in *ModelPath) (*entryOutput, error) {
	e, err := a.Models.Entry(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return newEntryOutput(e), nil
}

type modelHistoryInput struct {
	ModelPath
	PageInput
}

func (a AdminAPI) modelHistory(ctx context.Context, in *modelHistoryInput) (*eventsOutput, error) {
	if _, err := a.Models.Entry(ctx, in.ID); err != nil {
		return nil, err
	}
	return a.events(ctx, kindModel, in.ID, in.PageInput)
}

// ModelFields are what can be written of a model; nil stays.
type ModelFields struct {
	Aliases       *[]string     `json:"aliases,omitempty" maxItems:"20"`
	Name          *string       `json:"name,omitempty" minLength:"1" maxLength:"100"`
	Description   *string       `json:"description,omitempty" maxLength:"2000"`
	ContextLength *int64        `json:"contextLength,omitempty" minimum:"0"`
	MaxOutput     *int64        `json:"maxOutputTokens,omitempty" minimum:"1"`
	Capabilities  *Capabilities `json:"capabilities,omitempty"`
	Routes        *[]routeInput `json:"routes,omitempty" maxItems:"64"`
	Fallbacks     *[]Fallback   `json:"fallbacks,omitempty" maxItems:"5"`
	CacheSeconds  *int64        `json:"cacheSeconds,omitempty" minimum:"0" maximum:"3600" doc:"How long whole answers are kept for those whose API keys ask for it; 0: not at all"`
	Reason        string        `json:"reason" minLength:"10" maxLength:"500"`
}

type routeInput struct {
	Provider    string       `json:"providerId" minLength:"1" maxLength:"64"`
	VendorModel string       `json:"vendorModelId" minLength:"1" maxLength:"200"`
	Priority    int64        `json:"priority,omitempty" minimum:"0"`
	Weight      int64        `json:"weight,omitempty" minimum:"1" maximum:"1000" default:"1"`
	Limits      *RouteLimits `json:"limits,omitempty"`
}

func (f ModelFields) apply(e *Entry) {
	set(&e.Aliases, f.Aliases)
	set(&e.Name, f.Name)
	set(&e.Description, f.Description)
	set(&e.ContextLength, f.ContextLength)
	set(&e.MaxOutput, f.MaxOutput)
	set(&e.Capabilities, f.Capabilities)
	set(&e.Fallbacks, f.Fallbacks)
	set(&e.CacheSeconds, f.CacheSeconds)
	if f.Routes == nil {
		return
	}
	e.Routes = []EntryRoute{}
	for _, r := range *f.Routes {
		out := EntryRoute{Provider: r.Provider, VendorModel: r.VendorModel, Priority: r.Priority, Weight: r.Weight}
		set(&out.Limits, r.Limits)
		e.Routes = append(e.Routes, out)
	}
}

type createModelInput struct {
	Body struct {
		ID     string       `json:"id" minLength:"1" maxLength:"100"`
		Access *AccessInput `json:"access,omitempty" doc:"Default: everybody"`
		ModelFields
	}
}

func (a AdminAPI) createModel(ctx context.Context, in *createModelInput) (*entryOutput, error) {
	who, err := by(ctx, in.Body.Reason, "")
	if err != nil {
		return nil, err
	}
	e := Entry{ID: in.Body.ID, Name: in.Body.ID, Aliases: []string{}, Routes: []EntryRoute{}, Capabilities: Capabilities{Words: []string{"text"}}}
	in.Body.apply(&e)
	if in.Body.Access != nil {
		e.Access = in.Body.Access.access()
	}
	if e, err = a.Models.CreateEntry(ctx, e, who); err != nil {
		return nil, err
	}
	out := newEntryOutput(e)
	out.Location = "/admin/models/" + e.ID
	return out, nil
}

type editModelInput struct {
	ModelPath
	Match string `header:"If-Match" maxLength:"64"`
	Body  ModelFields
}

func (a AdminAPI) editModel(ctx context.Context, in *editModelInput) (*entryOutput, error) {
	return a.edited(ctx, in, in.Body.apply)
}

// replaceModel is editModel with what is not sent at its default.
func (a AdminAPI) replaceModel(ctx context.Context, in *editModelInput) (*entryOutput, error) {
	return a.edited(ctx, in, func(e *Entry) {
		e.Aliases, e.Name, e.Description, e.ContextLength, e.MaxOutput = []string{}, e.ID, "", 0, 0
		e.Capabilities, e.Fallbacks, e.Routes = Capabilities{Words: []string{"text"}}, nil, []EntryRoute{}
		e.CacheSeconds = 0
		in.Body.apply(e)
	})
}

func (a AdminAPI) edited(ctx context.Context, in *editModelInput, f func(*Entry)) (*entryOutput, error) {
	who, err := by(ctx, in.Body.Reason, in.Match)
	if err != nil {
		return nil, err
	}
	e, err := a.Models.EditEntry(ctx, in.ID, who, f)
	if err != nil {
		return nil, err
	}
	return newEntryOutput(e), nil
}

type moveInput struct {
	ModelPath
	Match string `header:"If-Match" maxLength:"64"`
	Body  struct {
		Replacement string    `json:"replacementModelId,omitempty" maxLength:"100"`
		Notice      string    `json:"deprecationNotice,omitempty" maxLength:"2000"`
		SunsetAt    time.Time `json:"sunsetAt,omitzero" required:"false"`
		Reason      string    `json:"reason" minLength:"10" maxLength:"500"`
	}
}

func (a AdminAPI) move(step Step) func(context.Context, *moveInput) (*entryOutput, error) {
	return func(ctx context.Context, in *moveInput) (*entryOutput, error) {
		who, err := by(ctx, in.Body.Reason, in.Match)
		if err != nil {
			return nil, err
		}
		e, err := a.Models.Move(ctx, in.ID, step, Farewell{in.Body.Replacement, in.Body.Notice, in.Body.SunsetAt}, who)
		if err != nil {
			return nil, err
		}
		return newEntryOutput(e), nil
	}
}

type parametersOutput struct {
	ETag string `header:"ETag"`
	Body struct {
		Parameters map[string]constraintBody `json:"parameters"`
	}
}

// constraintBody is a Constraint whose values are any JSON.
type constraintBody struct {
	Unsupported Unsupported       `json:"onUnsupported,omitempty" enum:"drop,reject"`
	Rename      string            `json:"rename,omitempty" maxLength:"64"`
	Min         *float64          `json:"min,omitempty"`
	Max         *float64          `json:"max,omitempty"`
	Allowed     []json.RawMessage `json:"allowedValues,omitempty" maxItems:"100"`
	Default     json.RawMessage   `json:"default,omitempty"`
	Excludes    []string          `json:"mutuallyExclusiveWith,omitempty" maxItems:"20"`
	MaxItems    int64             `json:"maxItems,omitempty" minimum:"0"`
}

func (a AdminAPI) parameters(ctx context.Context, in *ModelPath) (*parametersOutput, error) {
	e, err := a.Models.Entry(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return shownParameters(e)
}

func shownParameters(e Entry) (*parametersOutput, error) {
	out := &parametersOutput{ETag: ETag(e.Version)}
	text, err := json.Marshal(e.Parameters)
	if err != nil {
		return nil, err
	}
	return out, json.Unmarshal(text, &out.Body.Parameters)
}

type setParametersInput struct {
	ModelPath
	Match string `header:"If-Match" maxLength:"64"`
	Body  struct {
		Parameters map[string]constraintBody `json:"parameters"`
		Reason     string                    `json:"reason" minLength:"10" maxLength:"500"`
	}
}

func (a AdminAPI) setParameters(ctx context.Context, in *setParametersInput) (*parametersOutput, error) {
	who, err := by(ctx, in.Body.Reason, in.Match)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(in.Body.Parameters)
	if err != nil {
		return nil, err
	}
	var c Constraints
	if err := json.Unmarshal(text, &c); err != nil {
		return nil, wrong("parameters", "they cannot be read")
	}
	e, err := a.Models.SetParameters(ctx, in.ID, c, who)
	if err != nil {
		return nil, err
	}
	return shownParameters(e)
}

type dropParameterInput struct {
	ModelPath
	WhyQuery
	Parameter string `path:"parameter" maxLength:"64"`
}

func (a AdminAPI) dropParameter(ctx context.Context, in *dropParameterInput) (*struct{}, error) {
	who, err := in.by(ctx)
	if err != nil {
		return nil, err
	}
	return nil, a.Models.DropParameter(ctx, in.ID, in.Parameter, who)
}

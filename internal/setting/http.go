package setting

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/approval"
	"github.com/rephlo/rephlo/internal/list"
	"github.com/rephlo/rephlo/internal/web"
)

// AdminAPI is what administrators do with settings.
type AdminAPI struct {
	Settings *Service
	Cursors  list.Cursors
	// Approvals keeps the changes that a second person has to agree to.
	Approvals *approval.Service
	// TestMail sends a mail to an address over what the settings say, without a
	// queue, and returns what the server says.
	TestMail func(ctx context.Context, to string) error

	change approval.Operation[edit]
}

// Mount registers the routes.
func (a AdminAPI) Mount(m *web.Mux) {
	a.change = approval.Define(a.Approvals, a.changes())
	view, edit := access.Allows(access.ViewSettings), access.Allows(access.EditSettings)
	fresh := web.All(edit, a.Approvals.Fresh())
	web.Route(m, "GET /admin/settings", a.all, view, web.Doc("List the settings"))
	web.Route(m, "GET /admin/settings/{category}", a.one, view, web.Doc("Show the settings of a category"))
	web.Route(m, "GET /admin/settings/{category}/history", a.history, view, web.Doc("List the versions of a category, newest first"))
	web.Route(m, "PUT /admin/settings/{category}", a.put, fresh, web.Also(http.StatusAccepted), web.Doc("Change the settings of a category, all at once"))
	web.Route(m, "POST /admin/settings/{category}/restore", a.restore, fresh, web.Also(http.StatusAccepted), web.Doc("Bring back the settings of an earlier version"))
	web.Route(m, "POST /admin/settings/test-email", a.testMail, edit, web.Doc("Send a mail now and show what the mail server says"))
}

// Body is a category as the API shows it.
type Body struct {
	Category  string             `json:"category"`
	Version   int64              `json:"version" doc:"0: nothing was ever changed"`
	ChangedBy *string            `json:"changedBy"`
	ChangedAt *time.Time         `json:"changedAt"`
	Settings  map[string]setBody `json:"settings"`
}

type setBody struct {
	Value       any    `json:"value" doc:"Of a secret: whether it is set, and its last four characters"`
	Default     any    `json:"default"`
	Origin      string `json:"origin" enum:"default,database,environment"`
	ReadOnly    bool   `json:"readOnly" doc:"The environment fixes it"`
	Description string `json:"description"`
}

func show(c Category) Body {
	b := Body{Category: c.Name, Version: c.Version, Settings: map[string]setBody{}}
	if c.Version > 0 {
		b.ChangedBy, b.ChangedAt = &c.ChangedBy, &c.ChangedAt
	}
	for _, v := range c.Settings {
		b.Settings[v.Name] = setBody{v.Value, v.Default, v.Origin, v.ReadOnly, v.Doc}
	}
	return b
}

type allOutput struct{ Body list.Page[Body] }

func (a AdminAPI) all(context.Context, *struct{}) (*allOutput, error) {
	out := &allOutput{Body: list.Page[Body]{Data: []Body{}}}
	for _, name := range Categories() {
		c, err := a.Settings.Category(name)
		if err != nil {
			return nil, err
		}
		out.Body.Data = append(out.Body.Data, show(c))
	}
	return out, nil
}

// CategoryInput names a category.
type CategoryInput struct {
	Category string `path:"category" maxLength:"40"`
}

type oneOutput struct {
	ETag string `header:"ETag"`
	Body Body
}

func answer(c Category, err error) (*oneOutput, error) {
	if err != nil {
		return nil, err
	}
	return &oneOutput{ETag: tag(c.Version), Body: show(c)}, nil
}

func tag(version int64) string { return `"` + strconv.FormatInt(version, 10) + `"` }

func (a AdminAPI) one(_ context.Context, in *CategoryInput) (*oneOutput, error) {
	return answer(a.Settings.Category(in.Category))
}

type historyInput struct {
	CategoryInput
	Limit  int    `query:"limit" minimum:"1" maximum:"100" default:"20"`
	Cursor string `query:"cursor" maxLength:"400"`
}

type changeBody struct {
	Version   int64          `json:"version"`
	ChangedBy string         `json:"changedBy"`
	ChangedAt time.Time      `json:"changedAt"`
	Reason    string         `json:"reason"`
	Values    map[string]any `json:"values"`
}

type historyOutput struct{ Body list.Page[changeBody] }

func (a AdminAPI) history(ctx context.Context, in *historyInput) (*historyOutput, error) {
	name := "settings " + in.Category
	page, err := list.Make(a.Cursors, name, in.Cursor, in.Limit,
		func(c Change) changeBody { return changeBody(c) },
		func(c Change) string { return strconv.FormatInt(c.Version, 10) },
		func(before string, limit int) ([]Change, error) {
			below, _ := strconv.ParseInt(before, 10, 64) // ours, or ""
			return a.Settings.History(ctx, in.Category, below, limit)
		})
	return &historyOutput{page}, err
}

type putInput struct {
	CategoryInput
	Match string `header:"If-Match" maxLength:"40" doc:"The ETag that was read"`
	Body  struct {
		Version int64                      `json:"version,omitempty" minimum:"0" doc:"The version that was read; needed without If-Match"`
		Values  map[string]json.RawMessage `json:"values" doc:"All settings of the category; a secret only when it changes, null to clear it"`
		Reason  string                     `json:"reason" minLength:"10" maxLength:"500"`
	}
}

func (a AdminAPI) put(ctx context.Context, in *putInput) (*changedOutput, error) {
	onto := in.Body.Version
	if in.Match != "" {
		var err error
		if onto, err = strconv.ParseInt(strings.Trim(in.Match, `"`), 10, 64); err != nil {
			return nil, ErrEdited
		}
	}
	return a.make(ctx, edit{Category: in.Category, Onto: onto, Values: in.Body.Values}, in.Body.Reason)
}

type restoreInput struct {
	CategoryInput
	Body struct {
		Version int64  `json:"version" minimum:"1"`
		Reason  string `json:"reason" minLength:"10" maxLength:"500"`
	}
}

func (a AdminAPI) restore(ctx context.Context, in *restoreInput) (*changedOutput, error) {
	old, onto, err := a.Settings.old(ctx, in.Category, in.Body.Version)
	if err != nil {
		return nil, err
	}
	return a.make(ctx, edit{Category: in.Category, Onto: onto, Values: old.values, Version: in.Body.Version}, in.Body.Reason)
}

type testMailInput struct {
	Body struct {
		To string `json:"to" minLength:"3" maxLength:"254" format:"email"`
	}
}

type testMailOutput struct {
	Body struct {
		Sent  bool    `json:"sent"`
		Error *string `json:"error" doc:"What the mail server, or the way to it, says"`
	}
}

func (a AdminAPI) testMail(ctx context.Context, in *testMailInput) (*testMailOutput, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	out := &testMailOutput{}
	if err := a.TestMail(ctx, in.Body.To); err != nil {
		text := err.Error()
		out.Body.Error = &text
		return out, nil
	}
	out.Body.Sent = true
	return out, nil
}

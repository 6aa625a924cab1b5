package privacy

import (
	"context"
	"embed"
	"net/http"
	"strconv"
	"time"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/ui"
	"github.com/rephlo/rephlo/internal/web"
)

//go:embed templates/*.html texts/en.json
var files embed.FS

// recent is how long ago the sign-in may be of who asks for an export.
const recent = 5 * time.Minute

// API is what people do with their data, as JSON and as a page.
type API struct {
	Privacy *Service
	pages   *ui.Templates
}

// NewAPI parses the page; name is what the service is called.
func NewAPI(s *Service, name string) (API, error) {
	t, err := ui.Parse(files, name)
	return API{s, t}, err
}

// Mount registers the routes.
func (a API) Mount(m *web.Mux) {
	manage := access.Needs(access.ScopeAccountManage)
	web.Route(m, "POST /v1/users/me/export", a.order, manage, access.Recent(recent, a.Privacy.Now), web.Status(http.StatusAccepted),
		web.Doc("Have everything that is known about you written to a file; its link is mailed"))
	web.Route(m, "GET /v1/users/me/exports/{id}", a.one, manage, web.Doc("Show how far an export of your data is"))
	page := web.Errors(a.writeError)
	m.Handle("GET /exports/{id}", a.page, web.Page(), page)
	m.Handle("GET /exports/{id}/file", a.file, web.Page(), page)
}

type exportBody struct {
	ID        string     `json:"id"`
	Status    State      `json:"status" enum:"waiting,ready,failed"`
	URL       *string    `json:"url" doc:"Where the file is, without a credential; null until it is ready"`
	Size      *int64     `json:"size" doc:"In bytes"`
	CreatedAt time.Time  `json:"createdAt"`
	ExpiresAt *time.Time `json:"expiresAt" doc:"When the file is deleted"`
}

type exportOutput struct{ Body exportBody }

func (a API) answer(e Export, err error) (*exportOutput, error) {
	if err != nil {
		return nil, err
	}
	b := exportBody{ID: e.ID, Status: e.State, CreatedAt: e.CreatedAt.UTC().Truncate(time.Second)}
	if e.State == Ready {
		url, until := a.Privacy.file(e.ID), e.ExpiresAt.UTC().Truncate(time.Second)
		b.URL, b.Size, b.ExpiresAt = &url, &e.Size, &until
	}
	return &exportOutput{b}, nil
}

func (a API) order(ctx context.Context, _ *struct{}) (*exportOutput, error) {
	actor, err := access.From(ctx)
	if err != nil {
		return nil, err
	}
	return a.answer(a.Privacy.Order(ctx, actor.UserID))
}

type oneInput struct {
	ID string `path:"id" maxLength:"64"`
}

func (a API) one(ctx context.Context, in *oneInput) (*exportOutput, error) {
	actor, err := access.From(ctx)
	if err == nil && actor.KeyID != "" {
		err = access.ErrNotByKey
	}
	if err != nil {
		return nil, err
	}
	return a.answer(a.Privacy.One(ctx, actor.UserID, in.ID))
}

// download is the data of download.html.
type download struct {
	ui.Page
	ID, Key, Until, Problem string
}

// page shows a button: who looks through mails opens links, and presses none.
func (a API) page(w http.ResponseWriter, r *http.Request) error {
	e, err := a.Privacy.opened(r.Context(), r.PathValue("id"), r.URL.Query().Get("key"))
	if err != nil {
		return err
	}
	d := download{ID: e.ID, Key: r.URL.Query().Get("key"), Until: e.ExpiresAt.UTC().Format("2 January 2006 15:04 UTC")}
	d.Title = a.pages.Text("download.title")
	return a.pages.Render(w, http.StatusOK, "download", &d, ui.Options{})
}

func (a API) file(w http.ResponseWriter, r *http.Request) error {
	e, err := a.Privacy.opened(r.Context(), r.PathValue("id"), r.URL.Query().Get("key"))
	if err != nil {
		return err
	}
	return a.Privacy.Copy(r.Context(), &attachment{w: w, size: e.Size}, e)
}

// attachment says what it is when the first piece was read: until then the
// answer may still become an error.
type attachment struct {
	w    http.ResponseWriter
	size int64
	said bool
}

// Write implements io.Writer.
func (a *attachment) Write(b []byte) (int, error) {
	if h := a.w.Header(); !a.said {
		a.said = true
		h.Set("Content-Type", "application/zip")
		h.Set("Content-Disposition", `attachment; filename="rephlo-data.zip"`)
		h.Set("Content-Length", strconv.FormatInt(a.size, 10))
		h.Set("Cache-Control", "no-store")
	}
	return a.w.Write(b)
}

func (a API) writeError(w http.ResponseWriter, _ *http.Request, f *fault.Error) {
	d := download{Problem: f.Message}
	d.Title = a.pages.Text("download.problem")
	if err := a.pages.Render(w, f.Kind.Status(), "download", &d, ui.Options{}); err != nil {
		http.Error(w, f.Message, f.Kind.Status())
	}
}

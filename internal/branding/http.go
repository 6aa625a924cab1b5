package branding

import (
	"context"
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"time"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/list"
	"github.com/rephlo/rephlo/internal/throttle"
	"github.com/rephlo/rephlo/internal/web"
)

// API is what the public site calls.
type API struct{ Branding *Service }

// Bounds of what one address may ask in a while.
const (
	perMinute      = 30
	diagnosticHour = 5
)

// Mount registers the routes.
func (a API) Mount(m *web.Mux) {
	often := web.All(web.Open(), limited(throttle.New(a.Branding.Now, time.Minute, false), perMinute))
	rare := limited(throttle.New(a.Branding.Now, time.Hour, false), diagnosticHour)
	web.Route(m, "POST /api/track-download", a.track, often, web.Doc("Count a download and say where the file is"))
	web.Route(m, "GET /api/version", a.latest, often, web.Public(), web.Doc("Show the latest version"))
	web.Route(m, "GET /api/versions", a.versions, often, web.Public(), web.Doc("List the published versions, the highest first"))
	web.Route(m, "POST /api/feedback", a.feedback, often, web.Status(http.StatusCreated), web.Doc("Say something to the operator"))
	m.Handle("POST /api/diagnostics", a.diagnostics, rare, web.Body(maxDiagnostic+maxForm), web.Open(), web.Doc("Send a file of diagnostics to the operator"),
		web.Takes("multipart/form-data", diagnosticForm{}), web.Gives(http.StatusCreated, "", sentDiagnostic{}))
}

type addressKey struct{}

// limited lets an address through so many times in the window of t, and keeps
// it for typed handlers.
func limited(t *throttle.Throttle, limit int) web.Option {
	return web.With(func(next web.Handler) web.Handler {
		return func(w http.ResponseWriter, r *http.Request) error {
			address := web.Client(r)
			if _, wait := t.Take(address, limit); wait > 0 {
				return ErrTooOften.With("limit", limit).After(wait)
			}
			return next(w, r.WithContext(context.WithValue(r.Context(), addressKey{}, address)))
		}
	})
}

// user is who is signed in; "" for nobody.
func user(ctx context.Context) string {
	actor, err := access.From(ctx)
	if err != nil {
		return ""
	}
	return actor.UserID
}

type trackInput struct {
	Body struct {
		OS      string `json:"os" enum:"windows,macos,linux"`
		Arch    string `json:"arch,omitempty" maxLength:"20"`
		Version string `json:"version,omitempty" maxLength:"64" doc:"Default: the latest stable one"`
	}
}

type trackOutput struct {
	Body struct {
		DownloadID  string `json:"downloadId"`
		DownloadURL string `json:"downloadUrl"`
		Version     string `json:"version"`
		SHA256      string `json:"sha256"`
	}
}

func (a API) track(ctx context.Context, in *trackInput) (*trackOutput, error) {
	address, _ := ctx.Value(addressKey{}).(string)
	d, err := a.Branding.Track(ctx, in.Body.OS, in.Body.Arch, in.Body.Version, address)
	if err != nil {
		return nil, err
	}
	out := &trackOutput{}
	out.Body.DownloadID, out.Body.DownloadURL, out.Body.Version, out.Body.SHA256 = d.ID, d.File.URL, d.Version, d.File.SHA256
	return out, nil
}

// offered is a published version as the public sees it.
type offered struct {
	Version          string    `json:"version"`
	Channel          Channel   `json:"channel" enum:"stable,beta"`
	ReleasedAt       time.Time `json:"releasedAt"`
	Notes            string    `json:"notes"`
	Files            []File    `json:"files"`
	MinimumSupported *string   `json:"minimumSupported"`
}

func offer(v Version) offered {
	o := offered{Version: v.Number, Channel: v.Channel, ReleasedAt: v.PublishedAt, Notes: v.Notes, Files: append([]File{}, v.Files...)}
	if v.MinimumSupported != "" {
		o.MinimumSupported = &v.MinimumSupported
	}
	return o
}

type latestInput struct {
	OS      string  `query:"os" enum:"windows,macos,linux"`
	Channel Channel `query:"channel" enum:"stable,beta" default:"stable"`
	Current string  `query:"current" maxLength:"64" doc:"The version that asks"`
}

type latestOutput struct {
	Body struct {
		offered
		UpdateAvailable bool `json:"updateAvailable"`
	}
}

func (a API) latest(ctx context.Context, in *latestInput) (*latestOutput, error) {
	if _, ok := parseNumber(in.Current); in.Current != "" && !ok {
		return nil, ErrVersion.At("current")
	}
	v, err := a.Branding.Latest(ctx, in.Channel, in.OS)
	if err != nil {
		return nil, err
	}
	out := &latestOutput{}
	out.Body.offered, out.Body.UpdateAvailable = offer(v), older(in.Current, v.Number)
	return out, nil
}

type versionsInput struct {
	Channel Channel `query:"channel" enum:"stable,beta"`
}

type versionsOutput struct{ Body list.Page[offered] }

func (a API) versions(ctx context.Context, in *versionsInput) (*versionsOutput, error) {
	all, err := a.Branding.Offered(ctx, in.Channel)
	if err != nil {
		return nil, err
	}
	out := &versionsOutput{Body: list.Page[offered]{Data: []offered{}}}
	for _, v := range all {
		out.Body.Data = append(out.Body.Data, offer(v))
	}
	return out, nil
}

type feedbackInput struct {
	Body struct {
		Message string `json:"message" minLength:"1" maxLength:"1000"`
		Email   string `json:"email,omitempty" maxLength:"254" doc:"Where an answer may go"`
	}
}

type feedbackOutput struct {
	Body struct {
		ID string `json:"id"`
	}
}

func (a API) feedback(ctx context.Context, in *feedbackInput) (*feedbackOutput, error) {
	out := &feedbackOutput{}
	var err error
	out.Body.ID, err = a.Branding.Say(ctx, Feedback{UserID: user(ctx), Message: in.Body.Message, Email: in.Body.Email})
	return out, err
}

// maxForm is what a form may have beside its file.
const maxForm = 64 << 10

// diagnostics takes a form with one file, whose bytes may come only once.
func (a API) diagnostics(w http.ResponseWriter, r *http.Request) error {
	form, err := r.MultipartReader()
	if err != nil {
		return ErrType.Because(err)
	}
	var note, name string
	var data []byte
	for {
		part, err := form.NextPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return badForm(err)
		}
		switch {
		case part.FormName() == "note":
			text, err := readPart(part, maxForm)
			if err != nil {
				return err
			}
			note = string(text)
		case part.FormName() == "file" && data == nil:
			if data, err = readPart(part, maxDiagnostic); err != nil {
				return err
			}
			name = part.FileName()
		default:
			return ErrType
		}
	}
	d, err := a.Branding.Send(r.Context(), user(r.Context()), note, name, data)
	if err != nil {
		return err
	}
	return web.JSON(w, http.StatusCreated, sentDiagnostic{d.ID})
}

type sentDiagnostic struct {
	Reference string `json:"reference"`
}

// diagnosticForm describes the form.
type diagnosticForm struct {
	File string `json:"file" format:"binary"`
	Note string `json:"note,omitempty"`
}

func readPart(part *multipart.Part, limit int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(part, limit+1))
	switch {
	case err != nil:
		return nil, badForm(err)
	case int64(len(data)) > limit:
		return nil, ErrLarge
	}
	return data, nil
}

// badForm says what is wrong with a form that cannot be read.
func badForm(err error) error {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return ErrLarge.Because(err)
	}
	return ErrType.Because(err)
}

package branding

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/audit"
	"github.com/rephlo/rephlo/internal/list"
	"github.com/rephlo/rephlo/internal/web"
)

// AdminAPI is what administrators do with the public site's content.
type AdminAPI struct {
	Branding *Service
	Cursors  list.Cursors
	Audit    *audit.Log // nil: nothing is remembered
}

// Mount registers the routes.
func (a AdminAPI) Mount(m *web.Mux) {
	view, manage := access.Allows(access.ViewContent), access.Allows(access.ManageContent)
	web.Route(m, "GET /admin/versions", a.versions, view, web.Doc("List versions of the programs, newest first"))
	web.Route(m, "POST /admin/versions", a.add, manage, web.Status(http.StatusCreated), web.Doc("Add a version as a draft"))
	web.Route(m, "GET /admin/versions/{id}", a.version, view, web.Doc("Show a version"))
	web.Route(m, "PATCH /admin/versions/{id}", a.change, manage, web.Doc("Change a draft, or the notes of a published version"))
	web.Route(m, "DELETE /admin/versions/{id}", a.remove, manage, web.Status(http.StatusNoContent), web.Doc("Delete a draft"))
	web.Route(m, "POST /admin/versions/{id}/publish", a.publish, manage, web.Doc("Offer a version"))
	web.Route(m, "POST /admin/versions/{id}/withdraw", a.withdraw, manage, web.Doc("Offer a version no more"))
	web.Route(m, "GET /admin/downloads/stats", a.stats, view, web.Doc("Count downloads by day, system and version"))
	web.Route(m, "GET /admin/feedback", a.feedbacks, view, web.Doc("List feedback, newest first"))
	web.Route(m, "PATCH /admin/feedback/{id}", a.mark, manage, web.Doc("Mark feedback as new, read or done"))
	web.Route(m, "POST /admin/feedback/{id}/reply", a.reply, manage, web.Doc("Answer feedback by mail"))
	web.Route(m, "GET /admin/diagnostics", a.diagnostics, view, web.Doc("List diagnostics that people sent, newest first"))
	web.Route(m, "GET /admin/diagnostics/{id}", a.diagnostic, view, web.Doc("Show what is known of a diagnostic file"))
	web.Route(m, "DELETE /admin/diagnostics/{id}", a.forget, manage, web.Status(http.StatusNoContent), web.Doc("Delete a diagnostic file"))
	m.Handle("GET /admin/diagnostics/{id}/file", a.file, view, web.Doc("Get the file of a diagnostic"), web.Gives(http.StatusOK, "application/octet-stream", nil))
}

// changed does something and remembers it in the audit log, or does neither.
func (a AdminAPI) changed(ctx context.Context, action, kind, target string, do func(ctx context.Context) error) error {
	return a.Branding.DB.InTx(ctx, func(ctx context.Context) error {
		if err := do(ctx); err != nil {
			return err
		}
		return a.Audit.Write(ctx, audit.Change{Action: action, Type: kind, ID: target})
	})
}

// versionChanged is changed for a version, which it shows as it was and is.
func (a AdminAPI) versionChanged(ctx context.Context, action, id string, do func(ctx context.Context) (Version, error)) (*versionOutput, error) {
	var v Version
	err := a.Branding.DB.InTx(ctx, func(ctx context.Context) (err error) {
		c := audit.Change{Action: action, Type: "version"}
		if id != "" {
			before, err := a.Branding.Version(ctx, id)
			if err != nil {
				return err
			}
			c.Before = show(before)
		}
		if v, err = do(ctx); err != nil {
			return err
		}
		c.ID, c.After = v.ID, show(v)
		return a.Audit.Write(ctx, c)
	})
	if err != nil {
		return nil, err
	}
	return &versionOutput{Body: show(v)}, nil
}

// VersionBody is a version as administrators see it.
type VersionBody struct {
	ID               string     `json:"id"`
	Version          string     `json:"version"`
	Channel          Channel    `json:"channel" enum:"stable,beta"`
	Notes            string     `json:"notes"`
	MinimumSupported *string    `json:"minimumSupported"`
	Files            []File     `json:"files"`
	State            State      `json:"state" enum:"draft,published,withdrawn"`
	CreatedAt        time.Time  `json:"createdAt"`
	PublishedAt      *time.Time `json:"publishedAt"`
	WithdrawnAt      *time.Time `json:"withdrawnAt"`
}

func show(v Version) VersionBody {
	b := VersionBody{
		ID: v.ID, Version: v.Number, Channel: v.Channel, Notes: v.Notes, Files: append([]File{}, v.Files...), State: v.State,
		CreatedAt: v.CreatedAt, PublishedAt: optional(v.PublishedAt), WithdrawnAt: optional(v.WithdrawnAt),
	}
	if v.MinimumSupported != "" {
		b.MinimumSupported = &v.MinimumSupported
	}
	return b
}

func optional(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// PageInput pages through a list.
type PageInput struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"100" default:"20"`
	Cursor string `query:"cursor" maxLength:"400"`
}

type adminVersionsInput struct {
	PageInput
	State State `query:"state" enum:"draft,published,withdrawn"`
}

type adminVersionsOutput struct{ Body list.Page[VersionBody] }

func (a AdminAPI) versions(ctx context.Context, in *adminVersionsInput) (*adminVersionsOutput, error) {
	page, err := list.Make(a.Cursors, "versions", in.Cursor, in.Limit, show, func(v Version) string { return v.ID },
		func(before string, limit int) ([]Version, error) {
			return a.Branding.Versions(ctx, in.State, before, limit)
		})
	return &adminVersionsOutput{page}, err
}

type addInput struct {
	Body struct {
		Version          string  `json:"version" minLength:"5" maxLength:"64"`
		Channel          Channel `json:"channel,omitempty" enum:"stable,beta" default:"stable"`
		Notes            string  `json:"notes,omitempty" maxLength:"20000"`
		MinimumSupported string  `json:"minimumSupported,omitempty" maxLength:"64"`
		Files            []File  `json:"files,omitempty" maxItems:"50"`
	}
}

type versionOutput struct {
	Location string `header:"Location"`
	Body     VersionBody
}

func (a AdminAPI) add(ctx context.Context, in *addInput) (*versionOutput, error) {
	out, err := a.versionChanged(ctx, "versions.add", "", func(ctx context.Context) (Version, error) {
		return a.Branding.Add(ctx, Version{
			Number: in.Body.Version, Channel: in.Body.Channel, Notes: in.Body.Notes, MinimumSupported: in.Body.MinimumSupported, Files: in.Body.Files,
		})
	})
	if err == nil {
		out.Location = "/admin/versions/" + out.Body.ID
	}
	return out, err
}

// IDInput names one thing.
type IDInput struct {
	ID string `path:"id" maxLength:"64"`
}

func (a AdminAPI) version(ctx context.Context, in *IDInput) (*versionOutput, error) {
	v, err := a.Branding.Version(ctx, in.ID)
	return &versionOutput{Body: show(v)}, err
}

type changeInput struct {
	IDInput
	Body struct {
		Version          *string  `json:"version,omitempty" minLength:"5" maxLength:"64"`
		Channel          *Channel `json:"channel,omitempty" enum:"stable,beta"`
		Notes            *string  `json:"notes,omitempty" maxLength:"20000"`
		MinimumSupported *string  `json:"minimumSupported,omitempty" maxLength:"64"`
		Files            *[]File  `json:"files,omitempty" maxItems:"50"`
	}
}

func (a AdminAPI) change(ctx context.Context, in *changeInput) (*versionOutput, error) {
	b := in.Body
	return a.versionChanged(ctx, "versions.edit", in.ID, func(ctx context.Context) (Version, error) {
		return a.Branding.Change(ctx, in.ID, Edit{Number: b.Version, Channel: b.Channel, Notes: b.Notes, MinimumSupported: b.MinimumSupported, Files: b.Files})
	})
}

func (a AdminAPI) remove(ctx context.Context, in *IDInput) (*struct{}, error) {
	return nil, a.changed(ctx, "versions.delete", "version", in.ID, func(ctx context.Context) error { return a.Branding.Remove(ctx, in.ID) })
}

func (a AdminAPI) publish(ctx context.Context, in *IDInput) (*versionOutput, error) {
	return a.versionChanged(ctx, "versions.publish", in.ID, func(ctx context.Context) (Version, error) { return a.Branding.Publish(ctx, in.ID) })
}

func (a AdminAPI) withdraw(ctx context.Context, in *IDInput) (*versionOutput, error) {
	return a.versionChanged(ctx, "versions.withdraw", in.ID, func(ctx context.Context) (Version, error) { return a.Branding.Withdraw(ctx, in.ID) })
}

type statsInput struct {
	Start string `query:"start_date" format:"date" doc:"Default: 30 days ago"`
	End   string `query:"end_date" format:"date" doc:"Default: today"`
}

type statsOutput struct {
	Body struct {
		Data  []statBody `json:"data"`
		Total int64      `json:"total"`
	}
}

type statBody struct {
	Day       string `json:"day"`
	OS        string `json:"os"`
	Version   string `json:"version"`
	Downloads int64  `json:"downloads"`
	Visitors  int64  `json:"visitors" doc:"Different addresses on this day"`
}

func (a AdminAPI) stats(ctx context.Context, in *statsInput) (*statsOutput, error) {
	now := a.Branding.now()
	from, to := now.AddDate(0, 0, -30).Format(time.DateOnly), now.Format(time.DateOnly)
	if in.Start != "" {
		from = in.Start
	}
	if in.End != "" {
		to = in.End
	}
	stats, err := a.Branding.Stats(ctx, from, to)
	if err != nil {
		return nil, err
	}
	out := &statsOutput{}
	out.Body.Data = make([]statBody, 0, len(stats))
	for _, v := range stats {
		out.Body.Data = append(out.Body.Data, statBody(v))
		out.Body.Total += v.Downloads
	}
	return out, nil
}

type diagnosticBody struct {
	ID        string    `json:"id"`
	UserID    *string   `json:"userId"`
	Note      string    `json:"note"`
	Kind      string    `json:"kind" enum:"json,log,txt,zip"`
	Size      int64     `json:"size"`
	SHA256    string    `json:"sha256"`
	CreatedAt time.Time `json:"createdAt"`
	ExpiresAt time.Time `json:"expiresAt"`
}

func showDiagnostic(d Diagnostic) diagnosticBody {
	return diagnosticBody{d.ID, textOrNull(d.UserID), d.Note, d.Kind, d.Size, d.SHA256, d.CreatedAt, d.ExpiresAt}
}

func textOrNull(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

type diagnosticsOutput struct{ Body list.Page[diagnosticBody] }

func (a AdminAPI) diagnostics(ctx context.Context, in *PageInput) (*diagnosticsOutput, error) {
	page, err := list.Make(a.Cursors, "diagnostics", in.Cursor, in.Limit, showDiagnostic, func(d Diagnostic) string { return d.ID },
		func(before string, limit int) ([]Diagnostic, error) {
			return a.Branding.Diagnostics(ctx, before, limit)
		})
	return &diagnosticsOutput{page}, err
}

type diagnosticOutput struct{ Body diagnosticBody }

func (a AdminAPI) diagnostic(ctx context.Context, in *IDInput) (*diagnosticOutput, error) {
	d, err := a.Branding.Diagnostic(ctx, in.ID)
	return &diagnosticOutput{showDiagnostic(d)}, err
}

func (a AdminAPI) forget(ctx context.Context, in *IDInput) (*struct{}, error) {
	return nil, a.changed(ctx, "diagnostics.delete", "diagnostic", in.ID, func(ctx context.Context) error { return a.Branding.Forget(ctx, in.ID) })
}

// file answers with what was sent, as something to keep and not to show: nobody
// knows what it holds.
func (a AdminAPI) file(w http.ResponseWriter, r *http.Request) error {
	d, data, err := a.Branding.File(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	// It may hold personal data, so that somebody read it is remembered.
	if err := a.Audit.Write(r.Context(), audit.Change{Action: "diagnostics.read", Type: "diagnostic", ID: d.ID}); err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Content-Disposition", `attachment; filename="`+d.ID+"."+d.Kind+`"`)
	h.Set("Content-Length", strconv.Itoa(len(data)))
	_, _ = w.Write(data) //nolint:gosec // an attachment of an opaque type; a client that left is not our error
	return nil
}

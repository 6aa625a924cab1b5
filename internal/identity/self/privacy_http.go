package self

import (
	"net/http"
	"time"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/identity/pages"
	"github.com/rephlo/rephlo/internal/privacy"
	"github.com/rephlo/rephlo/internal/web"
)

const privacyPath = "/account/privacy"

// errUnsure answers who pressed the button without saying that they mean it.
var errUnsure = fault.New(fault.Unprocessable, "confirmation_required", "Tick the box first: deleting your account ends your subscription and your keys.").At("sure")

// Privacy is what people do with everything that is known about them.
type Privacy struct {
	Exports *privacy.Service
	Grace   func() time.Duration // in which who deleted their account can come back
}

func (a API) mountPrivacy(m *web.Mux, page web.Option, form []web.Option) {
	m.Handle("GET "+privacyPath, a.with(false, privacyPath, a.privacyPage), page)
	m.Handle("POST "+privacyPath+"/export", a.with(true, privacyPath, a.export), form...)
	m.Handle("POST "+privacyPath+"/delete", a.with(true, privacyPath, a.leave), form...)
}

func (a API) privacyPage(w http.ResponseWriter, r *http.Request, p person) error {
	return a.showPrivacy(w, r, p, "", nil)
}

// showPrivacy shows the page; f is what was wrong with one of its forms.
func (a API) showPrivacy(w http.ResponseWriter, r *http.Request, p person, form string, f *fault.Error) error {
	in := pages.Privacy{Person: p.shown(), Form: form, Done: r.URL.Query().Get("done"), Days: int(a.Privacy.Grace() / (24 * time.Hour))}
	e, ok, err := a.Privacy.Exports.Last(r.Context(), p.ID)
	if err != nil {
		return err
	}
	if in.Asked = ok; ok {
		in.Failed, in.At, in.Until = e.State == privacy.Failed, e.CreatedAt, e.ExpiresAt
		if e.State == privacy.Ready {
			in.Link, in.Size = a.Privacy.Exports.Link(e), e.Size
		}
	}
	return a.Screens.Privacy(w, in, f)
}

func (a API) export(w http.ResponseWriter, r *http.Request, p person) error {
	if _, err := a.Privacy.Exports.Order(r.Context(), p.ID); err != nil {
		f, ok := pages.Shown(w, err)
		if !ok {
			return err
		}
		return a.showPrivacy(w, r, p, "export", f)
	}
	http.Redirect(w, r, privacyPath+"?done=export", http.StatusSeeOther)
	return nil
}

// leave deletes the account. Signing in before it is erased undoes that, so the
// page that follows says until when, and leads there.
func (a API) leave(w http.ResponseWriter, r *http.Request, p person) error {
	err := error(errUnsure)
	var at time.Time
	if p.form.Get("sure") == "true" {
		at, err = a.Accounts.Leave(r.Context(), p.ID, access.Actor{UserID: p.ID}, "they asked for it themselves", a.Privacy.Grace())
	}
	if err != nil {
		f, ok := pages.Shown(w, err)
		if !ok {
			return err
		}
		return a.showPrivacy(w, r, p, "delete", f)
	}
	if err := a.Sessions.SignOut(w, r); err != nil {
		return err
	}
	return a.Screens.Left(w, at)
}

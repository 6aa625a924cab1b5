package enroll

import (
	"crypto/rand"
	"errors"
	"log/slog"
	"math/big"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/account"
	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/identity/pages"
	"github.com/rephlo/rephlo/internal/mfa"
	"github.com/rephlo/rephlo/internal/web"
)

// Pages shows the set-up to a person.
type Pages struct {
	Factors *mfa.Service
	Screens *pages.Screens
}

// Who is the person who sets up, and where the forms lead to.
type Who struct {
	User    account.User
	Session string // of their browser; it outlives the change
	Base    string // the forms are posted to Base+"/confirm" and Base+"/saved"
	Cancel  string
}

// Begin makes an authenticator and shows how to set it up.
func (p Pages) Begin(w http.ResponseWriter, r *http.Request, who Who) error {
	s, err := p.Factors.Begin(r.Context(), who.User)
	if err != nil {
		return err
	}
	return p.show(w, who, s, nil)
}

func (p Pages) show(w http.ResponseWriter, who Who, s mfa.Setup, f *fault.Error) error {
	image, err := mfa.QRCode(s.URL)
	if err != nil {
		return err
	}
	return p.Screens.Setup(w, pages.Setup{ID: s.ID, Secret: s.Secret, QR: image, Action: who.Base + "/confirm", Cancel: who.Cancel}, f)
}

// Confirm takes the first code. Once it is right then is called, and the
// recovery codes are shown.
func (p Pages) Confirm(w http.ResponseWriter, r *http.Request, who Who, v url.Values, then func() error) error {
	ctx := access.With(r.Context(), access.Actor{UserID: who.User.ID, Session: who.Session}, nil)
	setup, err := p.Factors.Pending(ctx, who.User, v.Get("setup"))
	if err != nil {
		return err
	}
	codes, err := p.Factors.Confirm(ctx, who.User, setup.ID, v.Get("code"))
	if errors.Is(err, mfa.ErrCode) || errors.Is(err, mfa.ErrTooMany) {
		f := fault.From(err)
		web.Note(w, slog.String("code", f.Code))
		web.ErrorHeaders(w, f)
		return p.show(w, who, setup, f)
	}
	if err != nil {
		return err
	}
	if err := then(); err != nil {
		return err
	}
	return p.Codes(w, who, codes)
}

// Codes shows new recovery codes and asks for one of them.
func (p Pages) Codes(w http.ResponseWriter, who Who, codes []string) error {
	n, err := rand.Int(rand.Reader, big.NewInt(int64(len(codes))))
	if err != nil {
		return err
	}
	number := int(n.Int64()) + 1
	return p.Screens.Codes(w, codes, number, who.Base+"/saved", false)
}

// Saved reports whether the code that was asked for was typed back; if not, it
// shows the codes again. They come from the page itself: the person has them
// before their eyes.
func (p Pages) Saved(w http.ResponseWriter, who Who, v url.Values) (bool, error) {
	codes := strings.Fields(v.Get("kept"))
	number, err := strconv.Atoi(v.Get("number"))
	if err != nil || number < 1 || number > len(codes) || len(codes) > 10 {
		return false, fault.New(fault.Invalid, "invalid_request", "This page is too old. Go back and begin again.")
	}
	if mfa.SameCode(v.Get("code"), codes[number-1]) {
		return true, nil
	}
	return false, p.Screens.Codes(w, codes, number, who.Base+"/saved", true)
}

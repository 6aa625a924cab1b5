package challenge

import (
	"net/http"

	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/identity/authorize"
	"github.com/rephlo/rephlo/internal/identity/sso"
	"github.com/rephlo/rephlo/internal/passkey"
	"github.com/rephlo/rephlo/internal/web"
)

// passkeyOptions gives the browser a challenge: for the passkeys of who has
// proved a first factor, or for whichever of ours it has.
func (a API) passkeyOptions(w http.ResponseWriter, r *http.Request) error {
	in, c, err := a.Authorize.Open(r)
	if err != nil {
		return err
	}
	who, _, err := a.Authorize.Challenged(r, in, c)
	if err != nil {
		return err
	}
	options, err := a.Passkeys.BeginSignIn(r.Context(), a.Authorize.Sessions.Browser(r), who.User)
	if err != nil {
		return err
	}
	return web.JSON(w, http.StatusOK, options)
}

// passkey takes the answer to a challenge. It is all the factors that there are.
func (a API) passkey(w http.ResponseWriter, r *http.Request, t authorize.Turn) (bool, error) {
	who, challenged, err := a.Authorize.Challenged(r, t.In, t.Client)
	if err != nil {
		return false, err
	}
	proof, err := a.Passkeys.SignIn(r.Context(), a.Authorize.Sessions.Browser(r), []byte(t.Form.Get("credential")))
	if err == nil && challenged && proof.User.ID != who.User.ID {
		err = passkey.ErrRefused
	}
	if f := fault.From(err); err != nil && f.Code == passkey.ErrRefused.Code {
		web.ErrorHeaders(w, f)
		if challenged {
			return false, a.Authorize.ShowChallenge(w, t.In, t.Client, who, false, f)
		}
		return false, a.Screens.SignIn(w, authorize.Screen(t.In, t.Client), "", f)
	}
	if err != nil {
		return false, err
	}
	if err := a.Accounts.SignedIn(r.Context(), proof.User); err != nil {
		return false, err
	}
	amr := []string{way(proof), sso.ByPresence}
	if challenged {
		return true, a.Authorize.Complete(w, r, t.In, who, amr...)
	}
	t.In.Keep = t.Form.Get("keep") != ""
	return true, a.Authorize.ProvedAll(w, r, t.In, proof.User, append(amr, sso.ByTwo)...)
}

func way(p passkey.Proof) string {
	if p.Synced {
		return sso.BySynced
	}
	return sso.ByKey
}

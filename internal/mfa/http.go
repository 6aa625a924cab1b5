package mfa

import (
	"bytes"
	"context"
	"encoding/base64"
	"image/png"
	"time"

	"github.com/boombuler/barcode"
	"github.com/boombuler/barcode/qr"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/account"
	"github.com/rephlo/rephlo/internal/web"
)

// recent is how old the sign-in may be of who changes factors.
const recent = 5 * time.Minute

// API is the JSON surface: people manage their second factor.
type API struct {
	Factors  *Service
	Accounts *account.Service
}

// Mount registers the routes.
func (a API) Mount(m *web.Mux) {
	manage := []web.Option{access.Needs(access.ScopeAccountManage), access.Recent(recent, a.Factors.Now)}
	with := func(doc string) []web.Option { return append([]web.Option{web.Doc(doc)}, manage...) }
	web.Route(m, "GET /auth/mfa/status", a.status, access.Needs(access.ScopeUser), web.Doc("Show your second factors"))
	web.Route(m, "POST /auth/mfa/setup", a.setup, with("Begin to set up an authenticator app")...)
	web.Route(m, "POST /auth/mfa/verify-setup", a.confirm, with("Finish it with a code; the answer has the recovery codes, once")...)
	web.Route(m, "POST /auth/mfa/disable", a.disable, with("Remove your second factor")...)
	web.Route(m, "POST /auth/mfa/recovery-codes", a.renew, with("Replace your recovery codes")...)
}

func (a API) user(ctx context.Context) (account.User, error) {
	actor, err := access.From(ctx)
	if err != nil {
		return account.User{}, err
	}
	return a.Accounts.ByID(ctx, actor.UserID)
}

type statusOutput struct {
	Body struct {
		Methods           []string `json:"methods" doc:"totp, recovery_code"`
		RecoveryCodesLeft int      `json:"recoveryCodesLeft"`
		Required          bool     `json:"required" doc:"A role of yours requires a second factor"`
	}
}

func (a API) status(ctx context.Context, _ *struct{}) (*statusOutput, error) {
	u, err := a.user(ctx)
	if err != nil {
		return nil, err
	}
	st, err := a.Factors.Status(ctx, u)
	if err != nil {
		return nil, err
	}
	out := &statusOutput{}
	out.Body.Methods = append([]string{}, st.Methods...)
	out.Body.RecoveryCodesLeft, out.Body.Required = st.RecoveryCodesLeft, st.Required
	return out, nil
}

type setupOutput struct {
	Body struct {
		SetupID    string `json:"setupId" doc:"For verify-setup, within 10 minutes"`
		Secret     string `json:"secret" doc:"To type into an app that cannot scan"`
		OtpauthURL string `json:"otpauthUrl"`
		QRCode     string `json:"qrCode" doc:"A PNG image as a data URL"`
	}
}

func (a API) setup(ctx context.Context, _ *struct{}) (*setupOutput, error) {
	u, err := a.user(ctx)
	if err != nil {
		return nil, err
	}
	s, err := a.Factors.Begin(ctx, u)
	if err != nil {
		return nil, err
	}
	image, err := QRCode(s.URL)
	if err != nil {
		return nil, err
	}
	out := &setupOutput{}
	out.Body.SetupID, out.Body.Secret, out.Body.OtpauthURL, out.Body.QRCode = s.ID, s.Secret, s.URL, image
	return out, nil
}

// QRCode returns text as the data URL of a PNG image.
func QRCode(text string) (string, error) {
	code, err := qr.Encode(text, qr.M, qr.Auto)
	if err != nil {
		return "", err
	}
	const side = 256
	if code, err = barcode.Scale(code, side, side); err != nil {
		return "", err
	}
	var b bytes.Buffer
	if err := png.Encode(&b, code); err != nil {
		return "", err
	}
	return "data:image/png;base64," + base64.StdEncoding.EncodeToString(b.Bytes()), nil
}

type confirmInput struct {
	Body struct {
		SetupID string `json:"setupId" maxLength:"64"`
		Code    string `json:"code" maxLength:"32"`
	}
}

type codesOutput struct {
	Body struct {
		RecoveryCodes []string `json:"recoveryCodes" doc:"Shown this once; each works once"`
	}
}

func (a API) confirm(ctx context.Context, in *confirmInput) (*codesOutput, error) {
	u, err := a.user(ctx)
	if err != nil {
		return nil, err
	}
	codes, err := a.Factors.Confirm(ctx, u, in.Body.SetupID, in.Body.Code)
	if err != nil {
		return nil, err
	}
	out := &codesOutput{}
	out.Body.RecoveryCodes = codes
	return out, nil
}

type disableInput struct {
	Body struct {
		Code         string `json:"code,omitempty" maxLength:"32"`
		RecoveryCode string `json:"recoveryCode,omitempty" maxLength:"64"`
	}
}

func (a API) disable(ctx context.Context, in *disableInput) (*struct{}, error) {
	u, err := a.user(ctx)
	if err != nil {
		return nil, err
	}
	typed := in.Body.Code
	if typed == "" {
		typed = in.Body.RecoveryCode
	}
	return nil, a.Factors.Disable(ctx, u, typed)
}

type codeInput struct {
	Body struct {
		Code string `json:"code" maxLength:"32"`
	}
}

func (a API) renew(ctx context.Context, in *codeInput) (*codesOutput, error) {
	u, err := a.user(ctx)
	if err != nil {
		return nil, err
	}
	codes, err := a.Factors.Renew(ctx, u, in.Body.Code)
	if err != nil {
		return nil, err
	}
	out := &codesOutput{}
	out.Body.RecoveryCodes = codes
	return out, nil
}

package account

import (
	"context"
	"net/http"
	"time"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/web"
)

// recent is how old the sign-in may be of who changes an address.
const recent = 5 * time.Minute

// mountSignUp registers what strangers and their owners do with accounts.
func (a API) mountSignUp(m *web.Mux) {
	web.Route(m, "POST /auth/register", a.register, web.Open(), withAddress(), web.Status(http.StatusCreated), web.Doc("Sign up"))
	web.Route(m, "POST /auth/verify-email", a.verify, web.Open(), web.Doc("Prove an e-mail address"))
	web.Route(m, "POST /auth/resend-verification", a.resend, web.Open(), withAddress(), web.Status(http.StatusAccepted), web.Doc("Mail another verification link"))
	web.Route(m, "POST /auth/forgot-password", a.forgot, web.Open(), withAddress(), web.Status(http.StatusAccepted), web.Doc("Mail a link that sets a new password"))
	web.Route(m, "POST /auth/reset-password", a.reset, web.Open(), web.Doc("Set a new password by the link; ends all sign-ins"))
	web.Route(m, "POST /auth/change-password", a.changePassword, access.Needs(access.ScopeAccountManage), web.Doc("Change your password"))
	web.Route(m, "POST /v1/users/me/change-email", a.changeEmail, withAddress(), access.Needs(access.ScopeAccountManage),
		access.Recent(recent, a.Accounts.Now), web.Status(http.StatusAccepted), web.Doc("Mail a link to a new address of yours"))
	web.Route(m, "POST /v1/users/me/change-email/confirm", a.confirmEmail, web.Open(), web.Doc("Use the new address, by the link"))
}

type registerInput struct {
	Body struct {
		Email         string `json:"email" maxLength:"254"`
		Password      string `json:"password" maxLength:"1024"`
		Username      string `json:"username,omitempty" maxLength:"30"`
		FirstName     string `json:"firstName,omitempty" maxLength:"100"`
		LastName      string `json:"lastName,omitempty" maxLength:"100"`
		AcceptedTerms bool   `json:"acceptedTerms"`
		Locale        string `json:"locale,omitempty" maxLength:"35"`
	}
}

type registerOutput struct {
	Body struct {
		Status string `json:"status" enum:"verification_sent"`
	}
}

func (a API) register(ctx context.Context, in *registerInput) (*registerOutput, error) {
	b := in.Body
	err := a.Accounts.Register(ctx, Registration{
		Email: b.Email, Password: b.Password, Username: b.Username, FirstName: b.FirstName, LastName: b.LastName,
		Locale: b.Locale, Terms: b.AcceptedTerms, Address: address(ctx),
	})
	if err != nil {
		return nil, err
	}
	var out registerOutput
	out.Body.Status = "verification_sent"
	return &out, nil
}

type verifyInput struct {
	Body struct {
		Token string `json:"token" maxLength:"100"`
	}
}

type verifyOutput struct {
	Body struct {
		Verified bool `json:"verified"`
	}
}

func (a API) verify(ctx context.Context, in *verifyInput) (*verifyOutput, error) {
	if _, err := a.Accounts.Verify(ctx, in.Body.Token); err != nil {
		return nil, err
	}
	var out verifyOutput
	out.Body.Verified = true
	return &out, nil
}

type resendInput struct {
	Body struct {
		Email string `json:"email" maxLength:"254"`
	}
}

func (a API) resend(ctx context.Context, in *resendInput) (*struct{}, error) {
	return nil, a.Accounts.Resend(ctx, in.Body.Email, address(ctx), "")
}

type forgotInput struct {
	Body struct {
		Email string `json:"email" maxLength:"254"`
	}
}

func (a API) forgot(ctx context.Context, in *forgotInput) (*struct{}, error) {
	return nil, a.Accounts.Forgot(ctx, in.Body.Email, address(ctx), "")
}

type resetInput struct {
	Body struct {
		Token       string `json:"token" maxLength:"100"`
		NewPassword string `json:"newPassword" maxLength:"1024"`
	}
}

func (a API) reset(ctx context.Context, in *resetInput) (*struct{}, error) {
	_, err := a.Accounts.Reset(ctx, in.Body.Token, in.Body.NewPassword)
	return nil, err
}

type changePasswordInput struct {
	Body struct {
		CurrentPassword   string `json:"currentPassword" maxLength:"1024"`
		NewPassword       string `json:"newPassword" maxLength:"1024"`
		SignOutEverywhere *bool  `json:"signOutEverywhere,omitempty" doc:"End all other sign-ins; true when absent"`
	}
}

func (a API) changePassword(ctx context.Context, in *changePasswordInput) (*struct{}, error) {
	actor, err := access.From(ctx)
	if err != nil {
		return nil, err
	}
	if actor.KeyID != "" {
		return nil, access.ErrNotByKey
	}
	signOut := in.Body.SignOutEverywhere == nil || *in.Body.SignOutEverywhere
	return nil, a.Accounts.ChangePassword(ctx, actor.UserID, in.Body.CurrentPassword, in.Body.NewPassword, signOut, actor.Session)
}

type changeEmailInput struct {
	Body struct {
		NewEmail string `json:"newEmail" maxLength:"254"`
	}
}

func (a API) changeEmail(ctx context.Context, in *changeEmailInput) (*struct{}, error) {
	actor, err := access.From(ctx)
	if err != nil {
		return nil, err
	}
	return nil, a.Accounts.ChangeEmail(ctx, actor.UserID, in.Body.NewEmail, address(ctx))
}

func (a API) confirmEmail(ctx context.Context, in *verifyInput) (*struct{}, error) {
	return nil, a.Accounts.ConfirmEmail(ctx, in.Body.Token)
}

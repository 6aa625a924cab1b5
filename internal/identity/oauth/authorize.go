package oauth

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// AuthorizationRequest is a request of the authorization endpoint that passed
// every check of ParseAuthorize. It is stored as JSON with its interaction.
type AuthorizationRequest struct {
	ClientID    string `json:"client_id"`
	RedirectURI string `json:"redirect_uri"`
	State       string `json:"state,omitempty"`
	Nonce       string `json:"nonce,omitempty"`
	// Challenge is the S256 code challenge (RFC 7636 section 4.2).
	Challenge string `json:"code_challenge"`
	// Scopes are those that the client may have, in the order of the request.
	// The user may still be refused some of them (admin without a role).
	Scopes []string `json:"scopes"`
	// Resources are the audiences that tokens may have (RFC 8707); empty means
	// that tokens are good for userinfo only.
	Resources []string `json:"resources,omitempty"`
	// Prompt has the values of the prompt parameter, separated by spaces.
	Prompt    string `json:"prompt,omitempty"`
	LoginHint string `json:"login_hint,omitempty"`
	// IDTokenHint is as it was sent: check it with Hints before use.
	IDTokenHint string   `json:"-"`
	ACRValues   []string `json:"acr_values,omitempty"`
	UILocales   []string `json:"ui_locales,omitempty"`
	// MaxAge is how old the sign-in may be, in seconds; nil is any age.
	MaxAge *int64 `json:"max_age,omitempty"`
	// JKT is the key that the code is bound to (RFC 9449 section 10).
	JKT string `json:"dpop_jkt,omitempty"`
	// FormPost sends the answer as a form instead of in the address.
	FormPost bool `json:"form_post,omitempty"`
	// Claims are those that the ID token is to have itself, of the scopes.
	Claims []string `json:"claims,omitempty"`
	// Subject is the user who must be signed in; empty for anybody.
	Subject string `json:"subject,omitempty"`
	// EssentialACRs are the classes of sign-in of which one must be met.
	EssentialACRs []string `json:"essential_acrs,omitempty"`
	// Device is set for a request that came from a device without a browser: then
	// there is no redirect URI, and the decision is for that device.
	Device *DeviceRequest `json:"device,omitempty"`
	// Back is a path of ours that the request leads to: then it comes from no
	// client, and there is no answer.
	Back string `json:"back,omitempty"`
	// Popup says that the page runs in a pop-up window, which needs its opener.
	Popup bool `json:"popup,omitempty"`
}

// DeviceRequest is what a person is told of a device that asks (RFC 8628).
type DeviceRequest struct {
	Ref     string    `json:"ref"`
	Address string    `json:"address"`
	Agent   string    `json:"agent"`
	AskedAt time.Time `json:"asked_at"`
}

// Prompts reports whether the request's prompt has the value.
func (r AuthorizationRequest) Prompts(value string) bool {
	return slices.Contains(strings.Fields(r.Prompt), value)
}

// Client is what the checks of a request need to know of its client.
type Client struct {
	ID           string
	RedirectURIs []string
	Scopes       []string // that it may ask for
	// NoPKCE takes requests without a code challenge. It is for confidential
	// clients that an administrator has made so.
	NoPKCE bool
	Others []Resource // that it may have tokens for
	// Default is the resource of a request that names neither one nor a scope of
	// one; "" is none.
	Default string
}

// Server is what the checks need to know of us.
type Server struct {
	Issuer   string // of our tokens: the Identity Provider's public address
	Resource string // the Resource API's public address, its audience
	// Others are the APIs of others that the client at hand may have tokens for.
	Others []Resource
}

// Values of the prompt parameter (OpenID Connect Core section 3.1.2.1).
const (
	PromptNone    = "none"
	PromptLogin   = "login"
	PromptConsent = "consent"
	PromptSelect  = "select_account"
	PromptCreate  = "create"
)

// Prompts returns the values that the prompt parameter may have.
func Prompts() []string {
	return []string{PromptNone, PromptLogin, PromptConsent, PromptSelect, PromptCreate}
}

// Limits of what a request may carry.
const (
	MaxParameter = 2 << 10  // bytes of a parameter
	MaxToken     = 16 << 10 // bytes of a parameter that is a token
	maxResources = 5
	maxAge       = 10 * 365 * 24 * 3600 // seconds
)

// Error refuses an authorization request.
type Error struct {
	Code        string // of RFC 6749 section 4.1.2.1, or of OpenID Connect
	Description string // plain ASCII, safe to show
	// Page says that the refusal must not leave our page: the redirect URI is
	// not known to be the client's.
	Page bool
}

func (e *Error) Error() string { return e.Code + ": " + e.Description }

// authorizeParameters are those that may be sent once; resource is the
// exception. Unknown ones are ignored (RFC 6749 section 3.1).
var authorizeParameters = []string{
	"client_id", "redirect_uri", "response_type", "response_mode", "scope", "state", "nonce", "code_challenge",
	"code_challenge_method", "prompt", "max_age", "acr_values", "login_hint", "id_token_hint", "ui_locales",
	"display", "request", "request_uri", "registration", "claims", "dpop_jkt",
}

// ClientID returns the client_id of an authorization request, or a page error.
func ClientID(v url.Values) (string, error) {
	id := v.Get("client_id")
	if len(v["client_id"]) > 1 || id == "" || len(id) > MaxParameter {
		return "", &Error{Code: "invalid_request", Description: "The parameter client_id must be sent once.", Page: true}
	}
	return id, nil
}

// ParseAuthorize checks an authorization request of client c, in the order in
// which the failures must be told apart. Until the redirect URI has matched,
// the *Error is a page error. Afterwards it is not, and the request returned
// with it has what RedirectError needs.
func ParseAuthorize(v url.Values, c Client, s Server) (AuthorizationRequest, error) {
	var r AuthorizationRequest
	id, err := ClientID(v)
	if err != nil {
		return r, err
	}
	if id != c.ID {
		return r, &Error{Code: "invalid_request", Description: "The client is unknown.", Page: true}
	}
	redirect := v.Get("redirect_uri")
	if redirect == "" || len(v["redirect_uri"]) > 1 || len(redirect) > MaxParameter {
		return r, &Error{Code: "invalid_request", Description: "The parameter redirect_uri must be sent once.", Page: true}
	}
	if !MatchRedirect(c.RedirectURIs, redirect) {
		return r, &Error{Code: "invalid_request", Description: "The redirect URI is not one that this client has registered.", Page: true}
	}
	r.ClientID, r.RedirectURI = id, redirect
	if state := v.Get("state"); len(state) <= MaxParameter && len(v["state"]) == 1 {
		r.State = state
	}
	r.FormPost = v.Get("response_mode") == "form_post"
	if err := checkForm(v, authorizeParameters); err != nil {
		return r, err
	}
	if err := checkResponse(v); err != nil {
		return r, err
	}
	if r.Challenge, err = challenge(v, c.NoPKCE); err != nil {
		return r, err
	}
	asked, err := ParseClaims(v.Get("claims"))
	if err != nil {
		return r, err
	}
	r.Claims, r.Subject, r.EssentialACRs = asked.IDToken, asked.Subject, asked.ACRs
	scopes := append(strings.Fields(v.Get("scope")), asked.Scopes...)
	if r.Scopes, r.Resources, err = Resolve(scopes, v["resource"], c, s); err != nil {
		return r, err
	}
	err = r.parseOpenID(v)
	return r, err
}

// checkForm refuses repeated and overlong parameters.
func checkForm(v url.Values, names []string) error {
	for _, name := range names {
		if len(v[name]) > 1 {
			return refuse("invalid_request", "The parameter "+name+" was sent more than once.")
		}
		limit := MaxParameter
		if slices.Contains([]string{"id_token_hint", "request", "claims"}, name) {
			limit = MaxToken
		}
		if len(v.Get(name)) > limit {
			return refuse("invalid_request", "The parameter "+name+" is longer than "+strconv.Itoa(limit)+" bytes.")
		}
	}
	return nil
}

// checkResponse refuses other flows than code and what we do not offer.
func checkResponse(v url.Values) error {
	switch {
	case v.Get("request") != "": // a good one was opened before
		return refuse("invalid_request", "A signed request cannot have another one.")
	case v.Get("request_uri") != "":
		return refuse("request_uri_not_supported", "The parameter request_uri is not supported; send plain parameters.")
	case v.Get("registration") != "":
		return refuse("registration_not_supported", "The parameter registration is not supported; register the client first.")
	case v.Get("response_type") == "":
		return refuse("invalid_request", "The parameter response_type is missing; send response_type=code.")
	case v.Get("response_type") != "code":
		return refuse("unsupported_response_type", "Only response_type=code is supported.")
	case !slices.Contains([]string{"", "query", "form_post"}, v.Get("response_mode")):
		return refuse("invalid_request", "The response_mode must be query or form_post.")
	}
	return nil
}

// challenge reads the code challenge. A client sends one, and only S256:
// a method that is left out would mean plain (RFC 7636 section 4.3).
func challenge(v url.Values, optional bool) (string, error) {
	c := v.Get("code_challenge")
	switch {
	case optional && c == "" && v.Get("code_challenge_method") == "":
		return "", nil
	case c == "":
		return "", refuse("invalid_request", "PKCE is required; send code_challenge with code_challenge_method=S256.")
	case v.Get("code_challenge_method") != "S256":
		return "", refuse("invalid_request", "The code_challenge_method must be S256.")
	case len(c) != 43 || strings.Trim(c, base64URL) != "":
		return "", refuse("invalid_request", "The code_challenge must be 43 base64url characters.")
	}
	return c, nil
}

const base64URL = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

// parseOpenID reads the parameters of OpenID Connect.
func (r *AuthorizationRequest) parseOpenID(v url.Values) error {
	prompts := strings.Fields(v.Get("prompt"))
	for _, p := range prompts {
		if !slices.Contains(Prompts(), p) {
			return refuse("invalid_request", "The parameter prompt has an unknown value.")
		}
	}
	if len(prompts) > 1 && slices.Contains(prompts, PromptNone) {
		return refuse("invalid_request", "The value none of the parameter prompt cannot be combined.")
	}
	if age := v.Get("max_age"); age != "" {
		n, err := strconv.ParseInt(age, 10, 64)
		if err != nil || n < 0 || n > maxAge || strings.HasPrefix(age, "+") || strings.HasPrefix(age, "-") {
			return refuse("invalid_request", "The parameter max_age must be a number of seconds.")
		}
		r.MaxAge = &n
	}
	r.Prompt, r.Nonce, r.LoginHint = strings.Join(prompts, " "), v.Get("nonce"), v.Get("login_hint")
	r.IDTokenHint = v.Get("id_token_hint")
	r.ACRValues, r.UILocales = strings.Fields(v.Get("acr_values")), strings.Fields(v.Get("ui_locales"))
	r.Popup = v.Get("display") == "popup"
	if r.JKT = v.Get("dpop_jkt"); r.JKT != "" && !IsThumbprint(r.JKT) {
		return refuse("invalid_request", "The parameter dpop_jkt must be a SHA-256 thumbprint, 43 base64url characters.")
	}
	return nil
}

// Fault returns e as an answer of the token endpoint's kind.
func (e *Error) Fault() error {
	switch e.Code {
	case ErrInvalidScope.Code:
		return ErrInvalidScope.Saying("%s", e.Description)
	case ErrInvalidTarget.Code:
		return ErrInvalidTarget.Saying("%s", e.Description)
	}
	return ErrInvalidRequest.Saying("%s", e.Description)
}

func refuse(code, description string) *Error { return &Error{Code: code, Description: description} }

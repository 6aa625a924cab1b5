package oauth

// What the endpoints take, for their description. They read it themselves.

// AuthorizationParams are the parameters of an authorization request (OpenID
// Connect Core section 3.1.2.1, RFC 7636, 8707, 9101, 9126, 9449).
type AuthorizationParams struct {
	_                   struct{} `additionalProperties:"true"`
	ClientID            string   `query:"client_id" json:"client_id" required:"true"`
	RedirectURI         string   `query:"redirect_uri" json:"redirect_uri,omitempty" doc:"One that is registered; on loopback with any port"`
	ResponseType        string   `query:"response_type" json:"response_type,omitempty" enum:"code"`
	Scope               string   `query:"scope" json:"scope,omitempty" doc:"Names with blanks between; openid for an ID token, offline_access for a refresh token"`
	State               string   `query:"state" json:"state,omitempty"`
	Nonce               string   `query:"nonce" json:"nonce,omitempty"`
	CodeChallenge       string   `query:"code_challenge" json:"code_challenge,omitempty"`
	CodeChallengeMethod string   `query:"code_challenge_method" json:"code_challenge_method,omitempty" enum:"S256"`
	Resource            string   `query:"resource" json:"resource,omitempty" doc:"The API that the token is for; may be repeated"`
	Prompt              string   `query:"prompt" json:"prompt,omitempty"`
	MaxAge              string   `query:"max_age" json:"max_age,omitempty" doc:"Seconds since the last sign-in"`
	ACRValues           string   `query:"acr_values" json:"acr_values,omitempty" doc:"mfa asks for a second factor"`
	LoginHint           string   `query:"login_hint" json:"login_hint,omitempty"`
	Request             string   `query:"request" json:"request,omitempty" doc:"The parameters as a signed object"`
	RequestURI          string   `query:"request_uri" json:"request_uri,omitempty" doc:"What the pushed request was answered with"`
}

// ClientParams are those with which a client may prove itself in a body.
type ClientParams struct {
	ClientID      string `json:"client_id,omitempty"`
	ClientSecret  string `json:"client_secret,omitempty"`
	AssertionType string `json:"client_assertion_type,omitempty"`
	Assertion     string `json:"client_assertion,omitempty"`
}

// TokenParams are the parameters of a token request (RFC 6749 section 4, RFC
// 7523, 8628, 8693).
type TokenParams struct {
	_ struct{} `additionalProperties:"true"`
	ClientParams
	GrantType        string `json:"grant_type"`
	Code             string `json:"code,omitempty"`
	RedirectURI      string `json:"redirect_uri,omitempty"`
	CodeVerifier     string `json:"code_verifier,omitempty"`
	RefreshToken     string `json:"refresh_token,omitempty"`
	DeviceCode       string `json:"device_code,omitempty"`
	Scope            string `json:"scope,omitempty"`
	Resource         string `json:"resource,omitempty"`
	Audience         string `json:"audience,omitempty"`
	SubjectToken     string `json:"subject_token,omitempty"`
	SubjectTokenType string `json:"subject_token_type,omitempty"`
	ActorToken       string `json:"actor_token,omitempty"`
	ActorTokenType   string `json:"actor_token_type,omitempty"`
	RequestedType    string `json:"requested_token_type,omitempty"`
}

// NamedToken are the parameters of a request about one token (RFC 7009, 7662).
type NamedToken struct {
	_ struct{} `additionalProperties:"true"`
	ClientParams
	Token string `json:"token"`
	Hint  string `json:"token_type_hint,omitempty"`
}

// DeviceParams are the parameters of a device authorization request (RFC 8628
// section 3.1).
type DeviceParams struct {
	_ struct{} `additionalProperties:"true"`
	ClientParams
	Scope    string `json:"scope,omitempty"`
	Resource string `json:"resource,omitempty"`
}

// UserInfo is what the userinfo endpoint tells of a user, by scopes.
type UserInfo struct {
	_         struct{} `additionalProperties:"true"`
	Subject   string   `json:"sub"`
	Name      string   `json:"name,omitempty"`
	GivenName string   `json:"given_name,omitempty"`
	Family    string   `json:"family_name,omitempty"`
	Username  string   `json:"preferred_username,omitempty"`
	Locale    string   `json:"locale,omitempty"`
	UpdatedAt int64    `json:"updated_at,omitempty"`
	Email     string   `json:"email,omitempty"`
	Verified  bool     `json:"email_verified,omitempty"`
	Active    bool     `json:"is_active,omitempty"`
	Roles     []string `json:"roles,omitempty"`
}

package oauth

import (
	"encoding/json"
	"slices"

	jsonv2 "github.com/go-json-experiment/json"
)

// ClaimsRequest is what a claims parameter asks for (OpenID Connect Core
// section 5.5), as far as there is something to do about it.
type ClaimsRequest struct {
	Scopes  []string // that open the claims asked for
	IDToken []string // claims that the ID token is to have itself
	Subject string   // the user who must be signed in; empty for anybody
	ACRs    []string // of which one is essential
}

// claimScopes says which scope opens a claim. The consent page speaks of
// scopes, so a claim that is asked for brings its scope with it.
var claimScopes = map[string]string{
	"name": ScopeProfile, "given_name": ScopeProfile, "family_name": ScopeProfile, "preferred_username": ScopeProfile,
	"locale": ScopeProfile, "zoneinfo": ScopeProfile, "updated_at": ScopeProfile, "email": ScopeEmail, "email_verified": ScopeEmail,
}

// claimWish is how one claim is asked for; null means voluntarily.
type claimWish struct {
	Essential bool              `json:"essential"`
	Value     json.RawMessage   `json:"value"`
	Values    []json.RawMessage `json:"values"`
}

// texts returns the values that are texts.
func (w claimWish) texts() []string {
	var out []string
	for _, raw := range append([]json.RawMessage{w.Value}, w.Values...) {
		var text string
		if len(raw) > 0 && json.Unmarshal(raw, &text) == nil && text != "" {
			out = append(out, text)
		}
	}
	return out
}

// ParseClaims reads a claims parameter. Claims that we do not know are ignored.
func ParseClaims(text string) (ClaimsRequest, error) {
	var out ClaimsRequest
	if text == "" {
		return out, nil
	}
	var document struct {
		UserInfo map[string]*claimWish `json:"userinfo"`
		IDToken  map[string]*claimWish `json:"id_token"`
	}
	if err := jsonv2.Unmarshal([]byte(text), &document); err != nil {
		return out, refuse("invalid_request", "The parameter claims must be a JSON object as OpenID Connect Core section 5.5 has it.")
	}
	for _, wishes := range []map[string]*claimWish{document.UserInfo, document.IDToken} {
		for name, wish := range wishes {
			if scope := claimScopes[name]; scope != "" && !slices.Contains(out.Scopes, scope) {
				out.Scopes = append(out.Scopes, scope)
			}
			if wish == nil {
				continue
			}
			if values := wish.texts(); name == "sub" && len(values) > 0 {
				out.Subject = values[0]
			} else if name == "acr" && wish.Essential {
				out.ACRs = values
			}
		}
	}
	for name := range document.IDToken {
		if claimScopes[name] != "" {
			out.IDToken = append(out.IDToken, name)
		}
	}
	slices.Sort(out.Scopes)
	slices.Sort(out.IDToken)
	return out, nil
}

// acrRanks orders how surely somebody signed in.
var acrRanks = map[string]int{"single": 1, "mfa": 2, "phr": 3}

// IsACR reports whether acr is a class of ours.
func IsACR(acr string) bool { return acrRanks[acr] > 0 }

// MeetsACR reports whether a sign-in of class have satisfies a request for one
// of want; an empty want is satisfied by any. A class that we do not know is
// never met.
func MeetsACR(have string, want []string) bool {
	return len(want) == 0 || slices.ContainsFunc(want, func(w string) bool {
		return w == have || acrRanks[w] > 0 && acrRanks[have] >= acrRanks[w]
	})
}

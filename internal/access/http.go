package access

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/rephlo/rephlo/internal/web"
)

// Needs lets only actors with all the scopes through. It reads what the
// authentication middleware of the Mux found. Scopes that no API key can have
// keep API keys out.
func Needs(scopes ...string) web.Option {
	return web.All(web.Scopes(scopes...), web.With(func(next web.Handler) web.Handler {
		return func(w http.ResponseWriter, r *http.Request) error {
			a, err := From(r.Context())
			if err != nil {
				return err
			}
			if err := Check(a, scopes...); err != nil {
				return err
			}
			return next(w, r)
		}
	}))
}

// Allows lets only administrators with a permission through.
func Allows(p Permission) web.Option {
	return web.All(web.Permission(string(p)), web.With(func(next web.Handler) web.Handler {
		return func(w http.ResponseWriter, r *http.Request) error {
			if _, err := Admin(r.Context(), p); err != nil {
				return err
			}
			return next(w, r)
		}
	}))
}

// Recent lets only people through who signed in no longer than d ago: for
// changes that a forgotten, open browser must not allow.
func Recent(d time.Duration, now func() time.Time) web.Option {
	return web.All(web.People(), web.With(func(next web.Handler) web.Handler {
		return func(w http.ResponseWriter, r *http.Request) error {
			if err := CheckRecent(r.Context(), d, now()); err != nil {
				return err
			}
			return next(w, r)
		}
	}))
}

// Challenge returns the WWW-Authenticate header of a 401, or of a 403 for a
// missing scope (RFC 6750 section 3, RFC 9728 section 5.1). metadata is the
// address of the protected resource's metadata.
func Challenge(metadata string) func(code string, details map[string]any) string {
	return func(code string, details map[string]any) string {
		var c strings.Builder
		scheme := "Bearer"
		if code == "invalid_dpop_proof" || code == "use_dpop_nonce" {
			scheme = "DPoP" // RFC 9449 section 7.1
		}
		c.WriteString(scheme + ` resource_metadata="` + metadata + `"`)
		switch code {
		case ErrNoCredential.Code, "code_invalid", "passkey_refused", "setup_token_invalid":
			// No error attribute: no token was presented, or it is not the token that is wrong.
		case ErrScope.Code:
			c.WriteString(`, error="insufficient_scope"`)
		case ErrSignInAgain.Code, "insufficient_user_authentication", "session_idle": // RFC 9470 section 3
			c.WriteString(`, error="insufficient_user_authentication"`)
			if acr, ok := details["acrValues"].(string); ok {
				c.WriteString(`, acr_values="` + acr + `"`)
			}
			if age, ok := details["maxAgeSeconds"].(int); ok {
				c.WriteString(`, max_age="` + strconv.Itoa(age) + `"`)
			}
		case "invalid_dpop_proof", "use_dpop_nonce":
			c.WriteString(`, error="` + code + `", algs="ES256 EdDSA PS256"`)
		default:
			c.WriteString(`, error="invalid_token"`)
		}
		if scopes, ok := details["scopes"].([]string); ok {
			c.WriteString(`, scope="`)
			for i, s := range scopes {
				if i > 0 {
					c.WriteString(" ")
				}
				c.WriteString(s)
			}
			c.WriteString(`"`)
		}
		return c.String()
	}
}

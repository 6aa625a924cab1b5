package federation

import (
	"strings"
	"time"

	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/secret"
)

// Kinds of provider.
const (
	Google    = "google"
	GitHub    = "github"
	Microsoft = "microsoft"
	OpenID    = "oidc"
)

// Settings are how one provider is reached.
type Settings struct {
	ID       string // in addresses of ours; stable
	Kind     string
	Name     string // on buttons
	Issuer   string // of OpenID Providers; the site's address for GitHub
	API      string // GitHub's REST API
	ClientID string
	Secret   secret.String
	// TrustEmail says that a proven address at an OpenID provider counts as
	// proven here. It always does at Google and GitHub, and never at Microsoft,
	// where the administrator of any tenant can make up addresses.
	TrustEmail bool
}

// Person is who a provider says has signed in there.
type Person struct {
	Issuer, Subject string // together the identity
	Email           string // "" when the provider gives none
	Vouched         bool   // the provider has proved the address
	First, Last     string
	Locale          string
}

// Identity is a person's link to an account here.
type Identity struct {
	ID              string
	Provider        string
	Issuer, Subject string
	UserID          string
	Email           string
	CreatedAt       time.Time
	LastUsedAt      time.Time
}

// Faults of signing in elsewhere.
var (
	ErrFailed = fault.New(fault.Upstream, "social_sign_in_failed", "Signing in there did not work. Try again, or sign in in another way.")
	ErrState  = fault.New(fault.Invalid, "invalid_request", "This answer belongs to no sign-in that began in this browser within ten minutes. Start again from the app.")
	ErrLink   = fault.New(fault.Conflict, "link_confirmation_required", "There is an account with this e-mail address already. Sign in to it in the way you are used to; then the two can be linked.")
	ErrNoMail = fault.New(fault.Unprocessable, "validation_error", "Your account there has no e-mail address that it would give us. Create an account here first; then you can link the two.")
	ErrTaken  = fault.New(fault.Conflict, "invalid_state", "This account is linked to somebody else here. Unlink it there first.")
	ErrLast   = fault.New(fault.Conflict, "invalid_state", "This is the only way in which you can sign in. Set a password or add a passkey first.")
	ErrNone   = fault.New(fault.NotFound, "not_found", "There is no such link. It may have been removed already.")
)

// Life is how long a trip to a provider may take, and a decision after it.
const Life = 10 * time.Minute

// issuedBy reports whether iss, of a token for tenant, is the issuer that the
// provider's metadata names. Microsoft's common endpoint names a template.
func issuedBy(metadata, iss, tenant string) bool {
	if tenant != "" {
		metadata = strings.ReplaceAll(metadata, "{tenantid}", tenant)
	}
	return iss != "" && iss == metadata && !strings.ContainsAny(iss, "{}")
}

// names returns a first and a last name, made of the full one if there is no
// other.
func names(first, last, full string) (string, string) {
	if first == "" && last == "" {
		first, last, _ = strings.Cut(strings.TrimSpace(full), " ")
	}
	return first, last
}

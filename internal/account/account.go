package account

import (
	"net/mail"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/money"
)

// User is an account as others may see it.
type User struct {
	ID         string // usr_…, never reused
	Email      string
	Verified   bool // the address is proven
	Username   string
	FirstName  string
	LastName   string
	Locale     string
	Timezone   string // an IANA name, or ""
	Staff      bool   // has a role, so a second factor is a must; what they may is in package role
	State      string
	Reason     string    // why the account is not active
	Until      time.Time // when a suspension ends; zero if it does not
	PasswordAt time.Time // when the password was set
	// SignedOutAt is when everybody was signed out last; earlier sign-ins are
	// void.
	SignedOutAt time.Time
	CreatedAt   time.Time
	// LastLoginAt is when the user last gave the right password. A Snapshot may
	// show an older time.
	LastLoginAt time.Time
	// CreditsUsed is what all their calls were charged, given back or not; some
	// minutes old.
	CreditsUsed money.Credits
}

// The states of an account.
const (
	StateActive    = "active"
	StateSuspended = "suspended"
	StateBanned    = "banned"
	StateDeleted   = "deleted"
)

// DisplayName returns what to call u: the names given, or the username.
func (u User) DisplayName() string {
	if name := strings.TrimSpace(u.FirstName + " " + u.LastName); name != "" {
		return name
	}
	return u.Username
}

// Registration is what a stranger sends to sign up.
type Registration struct {
	Email, Password     string
	Username            string // made from the names when empty
	FirstName, LastName string
	Locale              string
	Terms               bool   // they were accepted
	Address             string // of the network, for the limits
	Back                string // returned by Verify: where the person came from
}

// Attempt is one try to sign in.
type Attempt struct {
	Name     string // e-mail address or username, as typed
	Password string
	Address  string // of the network
	// Known are the users who signed in from this browser before. Their
	// attempts are counted apart, so that an attack on a name from elsewhere
	// does not slow its owner down.
	Known []string
}

// Faults of accounts.
var (
	ErrUnknown       = fault.New(fault.NotFound, "not_found", "There is no such account. Check the address or id.")
	ErrPassword      = fault.New(fault.Unauthenticated, "code_invalid", "The current password is wrong. Check it and try again.")
	ErrCredentials   = fault.New(fault.Unauthenticated, "unauthorized", "Wrong e-mail or password. Check both and try again.")
	ErrTooMany       = fault.New(fault.RateLimited, "too_many_attempts", "Too many attempts. Wait before you try again.")
	ErrClosed        = fault.New(fault.Forbidden, "forbidden", "Nobody can create an account here by themselves. Ask the operator of this service for one.")
	ErrUsernameTaken = fault.New(fault.Conflict, "username_taken", "Somebody else has this username. Choose another.").At("username")
	ErrEmailTaken    = fault.New(fault.Conflict, "email_taken", "This address belongs to another account now. Use another one.")
	ErrInvalid       = fault.New(fault.Unprocessable, "validation_error", "Some fields are wrong. Correct them and send the form again.")
	ErrShort         = fault.New(fault.Unprocessable, "password_too_short", "The password has fewer than 8 characters. Use 8 or more; 15 is better.").At("password")
	ErrCommon        = fault.New(fault.Unprocessable, "password_too_common", "The password is on the list of common passwords. Choose one that is harder to guess.").At("password")
	ErrSuspended     = fault.New(fault.Forbidden, "account_suspended", "This account is suspended. Ask the operator of this service.")
	ErrBanned        = fault.New(fault.Forbidden, "account_banned", "This account is closed. Ask the operator of this service.")
	ErrLinkExpired   = fault.New(fault.Gone, "link_expired", "The link has expired. Ask for a new one.")
	ErrLinkUsed      = fault.New(fault.Gone, "link_used", "The link has been used already. Sign in, or ask for a new one.")
	ErrSetupToken    = fault.New(fault.Unauthenticated, "setup_token_invalid", "The set-up link is not valid any more. Restart Rephlo or run `rephlo admin create EMAIL` for another one.")
)

// field returns ErrInvalid for one field.
func field(name, problem string) error {
	f := ErrInvalid.Saying("The field %s is wrong: %s.", name, problem).At(name)
	return f.With("fields", []map[string]string{{"field": name, "code": "invalid", "message": problem}})
}

// emailKey is the form in which addresses are compared.
func emailKey(email string) string {
	return strings.ToLower(norm.NFC.String(strings.TrimSpace(email)))
}

// usernameKey is the form in which usernames are compared.
func usernameKey(name string) string { return strings.ToLower(strings.TrimSpace(name)) }

// checkEmail returns email as it is stored: an address without a display name,
// of at most 254 bytes.
func checkEmail(email string) (string, error) {
	email = norm.NFC.String(strings.TrimSpace(email))
	at := strings.LastIndexByte(email, '@')
	if len(email) > 254 || at < 1 || at > 64 || at == len(email)-1 || strings.ContainsFunc(email, forbidden) {
		return "", field("email", "it is not an e-mail address")
	}
	if a, err := mail.ParseAddress(email); err != nil || a.Address != email {
		return "", field("email", "it is not an e-mail address")
	}
	return email, nil
}

// forbidden are characters that no stored text has: they break lines, hide, or
// reverse what follows.
func forbidden(r rune) bool {
	return r == utf8.RuneError || unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp)
}

// checkUsername enforces 3 to 30 of letters, digits, - and _, beginning with a
// letter or digit.
func checkUsername(name string) error {
	const rule = "use 3 to 30 letters, digits, - and _, and begin with a letter or digit"
	if len(name) < 3 || len(name) > 30 || name[0] == '-' || name[0] == '_' {
		return field("username", rule)
	}
	if strings.ContainsFunc(name, func(r rune) bool { return r > unicode.MaxASCII || !nameRune(r) }) {
		return field("username", rule)
	}
	return nil
}

func nameRune(r rune) bool {
	return r == '-' || r == '_' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
}

// checkName returns a first or last name as it is stored.
func checkName(param, name string) (string, error) {
	name = norm.NFC.String(strings.TrimSpace(name))
	if utf8.RuneCountInString(name) > 100 || strings.ContainsFunc(name, forbidden) {
		return "", field(param, "use at most 100 characters, without line breaks")
	}
	return name, nil
}

// checkLocale accepts the form of a language tag; anything else is dropped, as
// it only chooses a language.
func checkLocale(locale string) string {
	if len(locale) > 35 || strings.ContainsFunc(locale, func(r rune) bool { return r == '_' || !nameRune(r) }) {
		return ""
	}
	return locale
}

// clean checks r and returns it as it is stored.
func (r Registration) clean() (Registration, error) {
	var err error
	if r.Email, err = checkEmail(r.Email); err != nil {
		return r, err
	}
	r.Username = strings.TrimSpace(r.Username)
	if r.Username != "" {
		if err := checkUsername(r.Username); err != nil {
			return r, err
		}
	}
	if r.FirstName, err = checkName("firstName", r.FirstName); err != nil {
		return r, err
	}
	if r.LastName, err = checkName("lastName", r.LastName); err != nil {
		return r, err
	}
	if !r.Terms {
		return r, field("acceptedTerms", "accept the terms to create an account")
	}
	r.Locale = checkLocale(r.Locale)
	return r, CheckPassword(r.Password, r.Email, r.Username)
}

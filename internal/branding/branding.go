package branding

import (
	"net/mail"
	"net/url"
	"regexp"
	"slices"
	"time"

	"github.com/rephlo/rephlo/internal/fault"
)

// Faults of the endpoints.
var (
	ErrNoVersion = fault.New(fault.NotFound, "not_found", "No version is published for this.")
	ErrVersion   = fault.New(fault.Unprocessable, "validation_error", "A version is three numbers, like 1.4.0, and perhaps a suffix, like 1.4.0-beta.2.").At("version")
	ErrFiles     = fault.New(fault.Unprocessable, "validation_error", "A file has an https address, a size and the SHA-256 of its content as 64 hexadecimal digits; there is one for each system and architecture.").At("files")
	ErrNoFiles   = fault.New(fault.Conflict, "invalid_state", "The version has no files. Add some before you publish it.")
	ErrPublished = fault.New(fault.Conflict, "invalid_state", "A version that was published stays as it is. Withdraw it, or publish another.")
	ErrDraft     = fault.New(fault.Conflict, "invalid_state", "Only a published version can be withdrawn.")
	ErrExists    = fault.New(fault.Conflict, "conflict", "There is already a version with this number.")
	ErrEmail     = fault.New(fault.Unprocessable, "validation_error", "This is not an e-mail address.").At("email")
	ErrNoAddress = fault.New(fault.Conflict, "invalid_state", "Whoever sent this left no address to answer to.")
	ErrTooOften  = fault.New(fault.RateLimited, "rate_limit_exceeded", "This was asked too often from your address.")
	ErrType      = fault.New(fault.UnsupportedMedia, "unsupported_media_type", "Send one file, .json, .log, .txt or .zip, whose content is what its name says.")
	ErrLarge     = fault.New(fault.TooLarge, "request_too_large", "The file is larger than 5 MiB. Send less.")
	ErrFull      = fault.New(fault.Unavailable, "storage_full", "No more diagnostics can be kept at the moment. Send them another way.")
)

// Channel is who gets a version.
type Channel string

// The channels. Those who take betas get stable versions too.
const (
	Stable Channel = "stable"
	Beta   Channel = "beta"
)

// State says whether a version is offered.
type State string

// The states of a version.
const (
	Draft     State = "draft"
	Published State = "published"
	Withdrawn State = "withdrawn"
)

// Version is one version of the programs.
type Version struct {
	ID, Number       string
	Channel          Channel
	Notes            string
	MinimumSupported string // older ones must be updated; "" says nothing
	Files            []File
	State            State
	CreatedAt        time.Time
	PublishedAt      time.Time // zero: never
	WithdrawnAt      time.Time // zero: it is not
}

// File is one program to download.
type File struct {
	OS        string `json:"os" enum:"windows,macos,linux"`
	Arch      string `json:"arch" minLength:"1" maxLength:"20"`
	URL       string `json:"url" minLength:"1" maxLength:"2000"`
	Size      int64  `json:"size" minimum:"1" doc:"In bytes"`
	SHA256    string `json:"sha256" doc:"64 hexadecimal digits"`
	Signature string `json:"signature,omitempty" maxLength:"2000"`
}

var hash = regexp.MustCompile(`^[0-9a-f]{64}$`)

// check returns ErrVersion or ErrFiles for what cannot be.
func (v Version) check() error {
	if _, ok := parseNumber(v.Number); !ok {
		return ErrVersion
	}
	if _, ok := parseNumber(v.MinimumSupported); v.MinimumSupported != "" && !ok {
		return ErrVersion.At("minimumSupported")
	}
	var seen []string
	for _, f := range v.Files {
		u, err := url.Parse(f.URL)
		place := f.OS + " " + f.Arch
		if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || !hash.MatchString(f.SHA256) || f.Size < 1 || slices.Contains(seen, place) {
			return ErrFiles
		}
		seen = append(seen, place)
	}
	return nil
}

// of returns the files of v for a system; all of them for "".
func (v Version) of(system string) []File {
	if system == "" {
		return v.Files
	}
	return slices.DeleteFunc(slices.Clone(v.Files), func(f File) bool { return f.OS != system })
}

// Feedback is what somebody said.
type Feedback struct {
	ID, UserID, Message, Email string
	Status                     string // new, read, done
	CreatedAt, RepliedAt       time.Time
}

// Diagnostic is a file that somebody sent; its content is kept apart.
type Diagnostic struct {
	ID, UserID, Note, Kind string // Kind is json, log, txt or zip
	Size                   int64
	SHA256                 string
	CreatedAt, ExpiresAt   time.Time
}

const (
	diagnosticLife = 90 * 24 * time.Hour
	maxDiagnostic  = 5 << 20
	maxStored      = 1 << 30 // of all diagnostics together
	maxNote        = 1000
)

// checkEmail returns ErrEmail unless text is a bare address.
func checkEmail(text string) error {
	a, err := mail.ParseAddress(text)
	if err != nil || a.Address != text || a.Name != "" || len(text) > 254 {
		return ErrEmail
	}
	return nil
}

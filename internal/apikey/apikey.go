package apikey

import (
	"crypto/rand"
	"crypto/sha256"
	"hash/crc32"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/money"
)

// Mode says which models a key may use.
type Mode string

// The modes.
const (
	ModeLive Mode = "live" // all models, for credits
	ModeTest Mode = "test" // the test models, for free
)

// Status is where a key is in its life.
type Status string

// The statuses.
const (
	StatusActive  Status = "active"
	StatusPaused  Status = "paused"
	StatusExpired Status = "expired"
	StatusRevoked Status = "revoked"
)

// Scopes are what a key may be allowed. Do not change them.
var Scopes = []string{access.ScopeInference, access.ScopeModels, access.ScopeUser, access.ScopeCredits}

// Limits of keys.
const (
	MaxKeys     = 100 // per user, revoked and expired ones aside
	DefaultLife = 90 * 24 * time.Hour
	MaxLife     = 10 * 366 * 24 * time.Hour
	MaxModels   = 100           // in the list of one key
	MaxLimit    = 1_000_000_000 // a minute
)

// Faults of keys.
var (
	ErrInvalid     = fault.New(fault.Unauthenticated, "api_key_invalid", "The API key is not valid. Check that it was copied completely, or create a new one.")
	ErrExpired     = fault.New(fault.Unauthenticated, "api_key_expired", "The API key has expired. Create a new one.")
	ErrRevoked     = fault.New(fault.Unauthenticated, "api_key_revoked", "The API key was revoked. Create a new one.")
	ErrPaused      = fault.New(fault.Forbidden, "api_key_paused", "The API key is paused. Resume it, or use another.").Final()
	ErrUnavailable = fault.ErrUnavailable
	ErrPlan        = fault.New(fault.Forbidden, "feature_not_in_plan", "Your plan does not include this API key. A higher plan brings it back, or revoke an older key.").Final()
	ErrState       = fault.New(fault.Conflict, "invalid_state", "Only a key that still works and was not replaced yet can be replaced. Create a new one.")
	ErrTooMany     = fault.New(fault.Conflict, "conflict", "You have 100 API keys, the most that is possible. Delete one that you no longer need.")

	errField = fault.New(fault.Unprocessable, "validation_error", "A field is wrong.")
)

// Limits bound what one key may use, besides what its owner may; 0 is no bound.
type Limits struct {
	RequestsPerMinute  int64 `json:"requestsPerMinute,omitempty"`
	TokensPerMinute    int64 `json:"tokensPerMinute,omitempty"`
	ConcurrentRequests int64 `json:"concurrentRequests,omitempty"`
	// In whole credits; days and months are those of UTC.
	CreditsPerDay   int64 `json:"creditsPerDay,omitempty"`
	CreditsPerMonth int64 `json:"creditsPerMonth,omitempty"`
	CreditsTotal    int64 `json:"creditsTotal,omitempty"`
}

func (l Limits) check() error {
	for _, n := range []int64{l.RequestsPerMinute, l.TokensPerMinute, l.ConcurrentRequests, l.CreditsPerDay, l.CreditsPerMonth, l.CreditsTotal} {
		if n < 0 || n > MaxLimit {
			return errField.Saying("A limit is from 0 (none) to %d.", MaxLimit).At("limits")
		}
	}
	return nil
}

// Key is an API key without its secret. Values from Lookup share their Scopes
// and Models: do not change them.
type Key struct {
	ID     string
	UserID string
	// Root is the first of the keys that replaced each other, its own id when it
	// replaced none. They share what their limits count.
	Root       string
	ReplacedBy string // the key that takes its place; "": none
	Name       string
	Prefix     string // the first 12 characters
	Mode       Mode
	Scopes     []string
	Models     []string // ids of those it may call; empty: all
	Limits     Limits
	Cache      bool // whole answers may be kept and given again
	Capture    bool // what is asked and answered is kept for the owner
	CreatedAt  time.Time
	ExpiresAt  time.Time // zero: never
	PausedAt   time.Time // zero: not paused
	RevokedAt  time.Time // zero: not revoked
	LastUsedAt time.Time // zero: never; up to a minute and a half late
	// Older counts the user's keys of the same mode that were made before it and
	// are neither revoked nor expired, keys that replaced each other as one, as old
	// as the first: a plan allows the oldest.
	Older int
	// Policy is what Models, Limits, Cache and Capture say, for the way of every call; nil when
	// they say nothing.
	Policy *access.Policy
}

// policy returns what k's models, limits and wishes say.
func (k Key) policy() *access.Policy {
	if len(k.Models) == 0 && k.Limits == (Limits{}) && !k.Cache && !k.Capture {
		return nil
	}
	return &access.Policy{
		Purse: k.Root, Cache: k.Cache, Capture: k.Capture, Models: k.Models, RequestsPerMinute: k.Limits.RequestsPerMinute, TokensPerMinute: k.Limits.TokensPerMinute,
		ConcurrentRequests: k.Limits.ConcurrentRequests,
		CreditsPerDay:      money.Credits(k.Limits.CreditsPerDay) * money.Credit,
		CreditsPerMonth:    money.Credits(k.Limits.CreditsPerMonth) * money.Credit,
		CreditsTotal:       money.Credits(k.Limits.CreditsTotal) * money.Credit,
	}
}

// Status returns where k is in its life at the given time.
func (k Key) Status(now time.Time) Status {
	switch {
	case !k.RevokedAt.IsZero():
		return StatusRevoked
	case !k.ExpiresAt.IsZero() && !now.Before(k.ExpiresAt):
		return StatusExpired
	case !k.PausedAt.IsZero():
		return StatusPaused
	}
	return StatusActive
}

// check returns why k cannot be used, or nil.
func (k Key) check(now time.Time) error {
	switch k.Status(now) {
	case StatusRevoked:
		return ErrRevoked
	case StatusExpired:
		return ErrExpired
	case StatusPaused:
		return ErrPaused
	}
	return nil
}

// NewKey is what a key is made from.
type NewKey struct {
	UserID         string
	Name           string
	Mode           Mode     // empty: live
	Scopes         []string // empty: llm.inference and models.read
	Models         []string // empty: all
	Limits         Limits
	Cache, Capture bool
	// ExpiresAt is zero for DefaultLife; NoExpiry makes a key for ever.
	ExpiresAt time.Time
	NoExpiry  bool
}

// complete fills what was left out and checks the rest.
func (n *NewKey) complete(now time.Time) error {
	if n.Mode == "" {
		n.Mode = ModeLive
	}
	if n.Mode != ModeLive && n.Mode != ModeTest {
		return errField.Saying("The mode is live or test.").At("mode")
	}
	if len(n.Scopes) == 0 {
		n.Scopes = []string{access.ScopeInference, access.ScopeModels}
	}
	if n.ExpiresAt.IsZero() && !n.NoExpiry {
		n.ExpiresAt = now.Add(DefaultLife)
	}
	if err := checkExpiry(n.ExpiresAt, now); err != nil {
		return err
	}
	k := Key{Name: n.Name, Scopes: n.Scopes, Models: n.Models, Limits: n.Limits}
	if err := k.tidy(); err != nil {
		return err
	}
	n.Name, n.Scopes, n.Models = k.Name, k.Scopes, k.Models
	return nil
}

func checkExpiry(at, now time.Time) error {
	if !at.IsZero() && (!at.After(now) || at.Sub(now) > MaxLife) {
		return errField.Saying("The key must expire in the future, within ten years.").At("expiresAt")
	}
	return nil
}

// tidy puts what people wrote in order and says what breaks a rule.
func (k *Key) tidy() error {
	k.Name = strings.TrimSpace(k.Name)
	if k.Name == "" || utf8.RuneCountInString(k.Name) > 100 || strings.ContainsFunc(k.Name, unicode.IsControl) {
		return errField.Saying("Give the key a name of 1 to 100 printable characters.").At("name")
	}
	k.Scopes = slices.Compact(slices.Sorted(slices.Values(k.Scopes)))
	for _, s := range k.Scopes {
		if !slices.Contains(Scopes, s) {
			return errField.Saying("An API key can have the scopes %s.", strings.Join(Scopes, ", ")).At("scopes")
		}
	}
	k.Models = slices.Compact(slices.Sorted(slices.Values(k.Models))) // nil when there are none
	if len(k.Models) > MaxModels {
		return errField.Saying("A key can list %d models.", MaxModels).At("modelIds")
	}
	for _, id := range k.Models {
		if id == "" || len(id) > 100 || strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r > '~' }) {
			return errField.Saying("A model's id has 1 to 100 characters without blanks.").At("modelIds")
		}
	}
	return k.Limits.check()
}

// The parts of a key.
const (
	alphabet  = "0123456789abcdefghjkmnpqrstvwxyz"
	prefixLen = len("rph_live_")
	bodyLen   = 26
	sumLen    = 6
	keyLen    = prefixLen + bodyLen + 1 + sumLen
	shownLen  = 12
)

// Prefixed reports whether s claims to be an API key, by its first characters.
func Prefixed(s string) bool {
	return strings.HasPrefix(s, "rph_live_") || strings.HasPrefix(s, "rph_test_")
}

// hash is the SHA-256 of a key.
type hash [sha256.Size]byte

// generate returns a new key.
func generate(mode Mode) string {
	b := make([]byte, 0, keyLen)
	b = append(b, "rph_"+mode+"_"...)
	random := make([]byte, bodyLen)
	_, _ = rand.Read(random) // never fails (crypto/rand)
	for _, c := range random {
		b = append(b, alphabet[c&31])
	}
	sum := checksum(string(b))
	return string(append(append(b, '_'), sum[:]...))
}

// checksum returns the last characters of a key that begins with s. It runs
// for each request, and ChecksumIEEE would put s on the heap.
func checksum(s string) (sum [sumLen]byte) {
	crc := ^uint32(0)
	for i := range len(s) {
		crc = crc32.IEEETable[byte(crc&0xff)^s[i]] ^ crc>>8
	}
	crc = ^crc
	for i := range sum {
		sum[i] = alphabet[crc>>27]
		crc <<= 5
	}
	return sum
}

// parse returns the hash of a well-formed key.
func parse(s string) (hash, bool) {
	if len(s) != keyLen || !Prefixed(s) || s[prefixLen+bodyLen] != '_' {
		return hash{}, false
	}
	for i := prefixLen; i < prefixLen+bodyLen; i++ {
		if !inAlphabet[s[i]] {
			return hash{}, false
		}
	}
	if sum := checksum(s[:prefixLen+bodyLen]); string(sum[:]) != s[keyLen-sumLen:] {
		return hash{}, false
	}
	var given [keyLen]byte
	copy(given[:], s)
	return sha256.Sum256(given[:]), true
}

var inAlphabet = func() (in [256]bool) {
	for _, c := range []byte(alphabet) {
		in[c] = true
	}
	return in
}()

package grant

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"
	"time"

	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/id"
	"github.com/rephlo/rephlo/internal/identity/oauth"
)

// Times of the device grant (RFC 8628 section 3.2).
const (
	DeviceLife  = 10 * time.Minute
	DevicePause = 5 * time.Second // between two questions, and how much each early one adds
)

// Answers to a device that asks before it may have tokens (RFC 8628 section
// 3.5).
var (
	ErrPending    = fault.New(fault.Invalid, "authorization_pending", "The user has not decided yet. Ask again after the interval.")
	ErrTooEarly   = fault.New(fault.Invalid, "slow_down", "This was asked too early. The interval is 5 seconds longer from now on.")
	ErrDenied     = fault.New(fault.Invalid, "access_denied", "The user did not allow it.")
	ErrDeviceOver = fault.New(fault.Invalid, "expired_token", "The device code has expired. Start again.")
)

// userAlphabet has no vowels, so that no word is made, and nothing that looks
// like another character.
const (
	userAlphabet = "BCDFGHJKLMNPQRSTVWXZ"
	userLength   = 8
)

// Device is a request of a program that has no browser.
type Device struct {
	ClientID  string
	Scopes    []string
	Resources []string
	// Address and Agent are whose request it was, for the person who decides.
	Address, Agent string
	CreatedAt      time.Time

	ref string // the hash of its device code
}

// Ref names the device for ApproveDevice and DenyDevice. It proves nothing.
func (d Device) Ref() string { return d.ref }

// IssueDevice stores a device's request. The program asks with deviceCode until
// a person has typed userCode and decided.
func (s *Service) IssueDevice(ctx context.Context, d Device) (deviceCode, userCode string, err error) {
	now := s.now()
	for range 3 { // until the short code is one that nobody has just now
		deviceCode, userCode = oauth.NewSecret(oauth.PrefixDevice), newUserCode()
		d.ref, d.CreatedAt = oauth.Hash(deviceCode), now
		added, err := s.store.addDevice(ctx, d, s.userHash(userCode), now, now.Add(DeviceLife))
		if err != nil {
			return "", "", err
		}
		if added {
			return deviceCode, userCode, nil
		}
	}
	return "", "", errors.New("no user code is free")
}

// newUserCode returns a code as people see it: 8 characters, 34 bits.
func newUserCode() string {
	out := make([]byte, 0, userLength+1)
	var b [1]byte
	for len(out) < userLength+1 {
		_, _ = rand.Read(b[:]) // never fails (crypto/rand)
		if int(b[0]) >= 256/len(userAlphabet)*len(userAlphabet) {
			continue // so that each character is as likely
		}
		if len(out) == userLength/2 {
			out = append(out, '-')
		}
		out = append(out, userAlphabet[int(b[0])%len(userAlphabet)])
	}
	return string(out)
}

// plainUserCode returns what somebody typed without case, dashes and blanks;
// "" if no code can look like it.
func plainUserCode(typed string) string {
	if len(typed) > 64 {
		return ""
	}
	code := strings.Map(func(r rune) rune {
		if r == '-' || r == ' ' || r == '\t' {
			return -1
		}
		return r
	}, strings.ToUpper(typed))
	if len(code) != userLength || strings.Trim(code, userAlphabet) != "" {
		return ""
	}
	return code
}

func (s *Service) userHash(code string) string {
	m := hmac.New(sha256.New, s.userKey)
	m.Write([]byte(plainUserCode(code)))
	return hex.EncodeToString(m.Sum(nil))
}

// DeviceByUserCode returns the request that waits under a code that somebody
// typed; false if there is none, or not any more.
func (s *Service) DeviceByUserCode(ctx context.Context, typed string) (Device, bool, error) {
	if plainUserCode(typed) == "" {
		return Device{}, false, nil
	}
	return s.store.waitingDevice(ctx, s.userHash(typed), s.now())
}

// ApproveDevice lets the device have tokens for c. It is false when somebody
// has decided before, or it took too long.
func (s *Service) ApproveDevice(ctx context.Context, ref string, c Code) (bool, error) {
	now := s.now()
	return s.store.approveDevice(ctx, ref, id.New("gnt", now), c, now)
}

// DenyDevice refuses the device's request. It is false as ApproveDevice is.
func (s *Service) DenyDevice(ctx context.Context, ref string) (bool, error) {
	return s.store.denyDevice(ctx, ref, s.now())
}

// RedeemDevice hands what a user allowed to issue, once, as RedeemCode does.
// Until then it answers as RFC 8628 section 3.5 says: ErrPending, ErrTooEarly,
// ErrDenied or ErrDeviceOver; for a code that is not the client's or was
// redeemed, oauth.ErrInvalidGrant.
func (s *Service) RedeemDevice(ctx context.Context, deviceCode, clientID string, issue func(context.Context, Authorization) error) error {
	if !oauth.IsSecret(oauth.PrefixDevice, deviceCode) {
		return oauth.ErrInvalidGrant
	}
	ref := oauth.Hash(deviceCode)
	return s.consume(ctx, func(ctx context.Context) error {
		now := s.now()
		state, over, err := s.store.pollDevice(ctx, ref, clientID, now)
		if err != nil {
			return err
		}
		switch {
		case over:
			return ErrDeviceOver
		case state == "early":
			return ErrTooEarly
		case state == "pending":
			return ErrPending
		case state == "denied":
			return ErrDenied
		case state != "approved":
			return oauth.ErrInvalidGrant
		}
		a, approvedAt, ok, err := s.store.useDevice(ctx, ref)
		if err != nil {
			return err
		}
		if !ok {
			return oauth.ErrInvalidGrant
		}
		revoked, err := s.store.revokedSince(ctx, a, approvedAt)
		if err != nil {
			return err
		}
		if revoked {
			return oauth.ErrInvalidGrant
		}
		return issue(ctx, a)
	})
}

package grant

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/rephlo/rephlo/internal/identity/oauth"
)

// refreshToken is the content of a refresh token: 16 bytes that name the
// family, 4 of the generation, 16 random ones, and an 8-byte tag by which we
// know it as ours without a read, even when its hash is long gone.
type refreshToken struct {
	family     string // hexadecimal
	generation int64
	value      string // the whole, as presented
}

const (
	familySize  = 16
	refreshSize = familySize + 4 + 16
	tagSize     = 8
)

// newRefresh makes the token of a generation of a family.
func (s *Service) newRefresh(family string, generation int64) (refreshToken, error) {
	b := make([]byte, refreshSize, refreshSize+tagSize)
	if n, err := hex.Decode(b, []byte(family)); err != nil || n != familySize {
		return refreshToken{}, fmt.Errorf("refresh family id of %d bytes: %w", n, err)
	}
	binary.BigEndian.PutUint32(b[familySize:], uint32(generation)) //nolint:gosec // a refresh a second takes 136 years
	_, _ = rand.Read(b[familySize+4:])                             // never fails (crypto/rand)
	value := oauth.PrefixRefresh + base64.RawURLEncoding.EncodeToString(append(b, s.tag(b)...))
	return refreshToken{family, generation, value}, nil
}

// parseRefresh reads a refresh token that was presented. It is false for what
// we did not make.
func (s *Service) parseRefresh(value string) (refreshToken, bool) {
	rest, ok := strings.CutPrefix(value, oauth.PrefixRefresh)
	if !ok || len(rest) != base64.RawURLEncoding.EncodedLen(refreshSize+tagSize) {
		return refreshToken{}, false
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(rest)
	if err != nil || len(b) != refreshSize+tagSize || !hmac.Equal(b[refreshSize:], s.tag(b[:refreshSize])) {
		return refreshToken{}, false
	}
	generation := int64(binary.BigEndian.Uint32(b[familySize:]))
	return refreshToken{hex.EncodeToString(b[:familySize]), generation, value}, true
}

func (s *Service) tag(b []byte) []byte {
	m := hmac.New(sha256.New, s.tagKey)
	m.Write(b)
	return m.Sum(nil)[:tagSize]
}

// IssueRefresh starts a family of refresh tokens for a and returns the first.
// They end after life, and when a is Bound with its session.
func (s *Service) IssueRefresh(ctx context.Context, a Authorization, life time.Duration) (string, error) {
	var family [familySize]byte
	_, _ = rand.Read(family[:]) // never fails (crypto/rand)
	t, err := s.newRefresh(hex.EncodeToString(family[:]), 1)
	if err != nil {
		return "", err
	}
	now := s.now()
	if err := s.store.addFamily(ctx, t, a, now, now.Add(life)); err != nil {
		return "", err
	}
	return t.value, nil
}

// Rotate replaces a refresh token by its successor, in one transaction with
// issue, which must write with the context it is given; when issue fails, the
// token stays as it was. Within Grace the same token gives the same successor
// again, however many callers ask, because an answer may get lost on its way;
// after it, its use says that it was copied, and ends the family and all of
// its authorization's tokens. Every refusal of the token is
// oauth.ErrInvalidGrant; a foreign or forged one changes nothing.
//
// jkt is the key that the request has proven to hold; a token that is bound to
// another key is refused.
func (s *Service) Rotate(ctx context.Context, value, clientID, jkt string, issue func(context.Context, Authorization) error) (string, error) {
	presented, ok := s.parseRefresh(value)
	if !ok {
		return "", oauth.ErrInvalidGrant
	}
	who := by{clientID, jkt}
	var successor string
	reused := false
	err := s.db.InTx(ctx, func(ctx context.Context) error {
		next, err := s.newRefresh(presented.family, presented.generation+1)
		if err != nil {
			return err
		}
		now := s.now()
		a, ok, err := s.store.rotate(ctx, presented, next, who, now)
		if err != nil {
			return err
		}
		if ok {
			successor = next.value
			err = s.keepSuccessor(ctx, presented, next, now)
		} else {
			a, successor, reused, err = s.usedBefore(ctx, presented, who, now)
		}
		if err != nil || reused {
			return err
		}
		return issue(ctx, a)
	})
	if err != nil {
		return "", err
	}
	if reused {
		return "", oauth.ErrInvalidGrant // after the commit of what it revoked
	}
	return successor, nil
}

// Keep is Rotate for a client whose tokens are bound to a key that it proves
// each time: the token stays as it is, so that no answer that gets lost can cost
// the client its access (FAPI 2.0 Security Profile section 5.3.2.1).
func (s *Service) Keep(ctx context.Context, value, clientID, jkt string, issue func(context.Context, Authorization) error) error {
	presented, ok := s.parseRefresh(value)
	if !ok {
		return oauth.ErrInvalidGrant
	}
	return s.db.InTx(ctx, func(ctx context.Context) error {
		a, ok, err := s.store.use(ctx, presented, by{clientID, jkt}, s.now())
		if err != nil {
			return err
		}
		if !ok {
			return oauth.ErrInvalidGrant
		}
		return issue(ctx, a)
	})
}

// usedBefore answers a genuine token that is not the current one of its
// family.
func (s *Service) usedBefore(ctx context.Context, t refreshToken, who by, now time.Time) (a Authorization, successor string, reused bool, err error) {
	f, ok, err := s.store.family(ctx, t.family)
	switch {
	case err != nil:
		return a, "", false, err
	case !ok || !who.owns(f.Authorization) || f.revoked || !f.expiresAt.After(now) || t.generation >= f.generation:
		return a, "", false, oauth.ErrInvalidGrant
	}
	r, ok, err := s.store.rotation(ctx, t, oauth.Hash(t.value))
	if err != nil {
		return a, "", false, err
	}
	if ok && now.Sub(r.usedAt) <= Grace {
		plain, err := unseal(t.value, r.successor)
		if err != nil {
			return a, "", false, err
		}
		s.log.InfoContext(ctx, "refresh retried", "authorization", f.ID)
		return f.Authorization, string(plain), false, nil
	}
	s.log.WarnContext(ctx, "refresh token reused", "authorization", f.ID, "client", f.ClientID, "user", f.UserID)
	if err := s.Revoke(ctx, KindAuthorization, f.ID); err != nil {
		return a, "", true, err
	}
	return a, "", true, s.reused(ctx, f.Authorization)
}

func (s *Service) keepSuccessor(ctx context.Context, presented, next refreshToken, now time.Time) error {
	sealed, err := sealFor(presented.value, next.value)
	if err != nil {
		return err
	}
	return s.store.addRotation(ctx, presented, oauth.Hash(presented.value), sealed, now)
}

// RevokeRefresh ends a refresh token's family and all tokens of its
// authorization, if clientID's it is; else it changes nothing (RFC 7009).
func (s *Service) RevokeRefresh(ctx context.Context, value, clientID string) error {
	t, ok := s.parseRefresh(value)
	if !ok {
		return nil
	}
	return s.db.InTx(ctx, func(ctx context.Context) error {
		f, ok, err := s.store.family(ctx, t.family)
		if err != nil || !ok || f.ClientID != clientID || f.revoked {
			return err
		}
		return s.Revoke(ctx, KindAuthorization, f.ID)
	})
}

// InspectRefresh tells what a refresh token of the client is good for, and
// until when; false when it is nothing, another's, used or ended. Looking
// changes nothing.
func (s *Service) InspectRefresh(ctx context.Context, value, clientID string) (Authorization, time.Time, bool, error) {
	t, ok := s.parseRefresh(value)
	if !ok {
		return Authorization{}, time.Time{}, false, nil
	}
	f, ok, err := s.store.family(ctx, t.family)
	if err != nil || !ok || f.ClientID != clientID || f.revoked || t.generation != f.generation || !f.expiresAt.After(s.now()) {
		return Authorization{}, time.Time{}, false, err
	}
	return f.Authorization, f.expiresAt, true, nil
}

// sealFor encrypts a successor so that only who presents its predecessor can
// read it: a copy of the database gives no token.
func sealFor(presented, successor string) ([]byte, error) {
	aead, err := successorKey(presented)
	if err != nil {
		return nil, err
	}
	return aead.Seal(nil, nil, []byte(successor), nil), nil //nolint:gosec // this cipher makes its own random nonce
}

func unseal(presented string, sealed []byte) ([]byte, error) {
	aead, err := successorKey(presented)
	if err != nil {
		return nil, err
	}
	plain, err := aead.Open(nil, nil, sealed, nil)
	if err != nil {
		return nil, fmt.Errorf("unseal successor: %w", err)
	}
	return plain, nil
}

func successorKey(presented string) (cipher.AEAD, error) {
	key, err := hkdf.Key(sha256.New, []byte(presented), nil, "refresh successor", 32)
	if err != nil {
		return nil, fmt.Errorf("derive successor key: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("derive successor key: %w", err)
	}
	return cipher.NewGCMWithRandomNonce(block)
}

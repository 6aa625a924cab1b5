package grant_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/rephlo/rephlo/internal/bus"
	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/id"
	"github.com/rephlo/rephlo/internal/identity/grant"
	"github.com/rephlo/rephlo/internal/identity/oauth"
	"github.com/rephlo/rephlo/internal/seal"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// clock is a time that tests move.
type clock struct{ micro atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.micro.Store(time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC).UnixMicro())
	return c
}

func (c *clock) now() time.Time          { return time.UnixMicro(c.micro.Load()).UTC() }
func (c *clock) advance(d time.Duration) { c.micro.Add(d.Microseconds()) }

func newService(t testing.TB, db *sqldb.DB, c *clock) *grant.Service {
	t.Helper()
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	box, err := seal.NewBox(make([]byte, seal.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	s := grant.New(grant.Needs{DB: db, Bus: bus.New(db, log, c.now), Box: box, Log: log, Now: c.now})
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	return s
}

const verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"

func goodCode(c *clock) grant.Code {
	sum := sha256.Sum256([]byte(verifier))
	return grant.Code{
		ClientID: "desktop", UserID: "usr_1", SessionID: "ses_1", RedirectURI: "https://app.test/cb", Nonce: "n",
		Challenge: base64.RawURLEncoding.EncodeToString(sum[:]), Scopes: []string{"openid", "llm.inference"},
		Resources: []string{"https://api.test"}, AuthTime: c.now(), ACR: "single", AMR: []string{"pwd"},
	}
}

func goodRedemption(code string) grant.Redemption {
	return grant.Redemption{Code: code, ClientID: "desktop", RedirectURI: "https://app.test/cb", Verifier: verifier}
}

// redeem redeems code and returns what issue was given.
func redeem(ctx context.Context, s *grant.Service, r grant.Redemption) (got grant.Authorization, err error) {
	err = s.RedeemCode(ctx, r, func(_ context.Context, a grant.Authorization) error {
		got = a
		return nil
	})
	return got, err
}

func issueCode(t *testing.T, s *grant.Service, c grant.Code) string {
	t.Helper()
	code, err := s.IssueCode(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return code
}

// start gives the first refresh token of a new family, with its authorization.
func start(t *testing.T, s *grant.Service, c *clock, bound bool) (string, grant.Authorization) {
	t.Helper()
	now := c.now()
	a := grant.Authorization{
		ID: id.New("gnt", now), ClientID: "desktop", UserID: "usr_1", SessionID: "ses_1", Bound: bound, Scopes: []string{"openid", "offline_access"},
		AuthTime: now, ACR: "single", AMR: []string{"pwd"},
	}
	token, err := s.IssueRefresh(t.Context(), a, grant.RefreshLife)
	if err != nil {
		t.Fatal(err)
	}
	return token, a
}

func rotate(ctx context.Context, s *grant.Service, token string) (string, error) {
	return s.Rotate(ctx, token, "desktop", "", func(context.Context, grant.Authorization) error { return nil })
}

func wantGrantError(t *testing.T, what string, err error) {
	t.Helper()
	if !errors.Is(err, oauth.ErrInvalidGrant) {
		t.Errorf("%s: %v, want invalid_grant", what, err)
	}
}

// accessOf is an access token made now from an authorization.
func accessOf(c *clock, a grant.Authorization) oauth.Claims {
	cl := oauth.Claims{Subject: a.UserID, ClientID: a.ClientID, GrantID: a.ID, JTI: id.New("at", c.now())}
	if a.Bound {
		cl.SessionID = a.SessionID
	}
	return cl
}

func TestCodeGivesWhatWasAllowed(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		c := newClock()
		s := newService(t, db, c)
		want := goodCode(c)
		a, err := redeem(t.Context(), s, goodRedemption(issueCode(t, s, want)))
		if err != nil {
			t.Fatal(err)
		}
		if a.UserID != want.UserID || a.SessionID != want.SessionID || a.Nonce != "n" || len(a.Scopes) != 2 || len(a.Resources) != 1 ||
			!a.AuthTime.Equal(want.AuthTime) || a.ACR != "single" || len(a.AMR) != 1 || !id.Is("gnt", a.ID) || !a.Bound {
			t.Errorf("got %+v", a)
		}
	})
}

// O5, O6: what is wrong burns the code, so that nobody may try again.
func TestWrongRedemptionBurnsTheCode(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		c := newClock()
		s := newService(t, db, c)
		for name, spoil := range map[string]func(*grant.Redemption){
			"another client":   func(r *grant.Redemption) { r.ClientID = "other" },
			"another redirect": func(r *grant.Redemption) { r.RedirectURI += "/" },
			"another verifier": func(r *grant.Redemption) { r.Verifier = strings.Repeat("a", 43) },
			"no verifier":      func(r *grant.Redemption) { r.Verifier = "" },
			"signed out":       func(*grant.Redemption) { _ = s.Revoke(t.Context(), grant.KindSession, "ses_1") },
		} {
			code := goodCode(c)
			r := goodRedemption(issueCode(t, s, code))
			wrong := r
			spoil(&wrong)
			_, err := redeem(t.Context(), s, wrong)
			wantGrantError(t, name, err)
			_, err = redeem(t.Context(), s, r)
			wantGrantError(t, name+", then right", err)
			c.advance(time.Second)
		}
		code := issueCode(t, s, goodCode(c))
		c.advance(grant.CodeLife + time.Second)
		_, err := redeem(t.Context(), s, goodRedemption(code))
		wantGrantError(t, "after its life", err)
		for _, junk := range []string{"", "rph_ac_", "rph_rt_" + code[7:], code + "x", oauth.NewSecret(oauth.PrefixCode)} {
			_, err := redeem(t.Context(), s, goodRedemption(junk))
			wantGrantError(t, "junk", err)
		}
	})
}

// A failure of ours consumes nothing; a refusal does.
func TestOnlyRefusalsConsumeTheCode(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		c := newClock()
		s := newService(t, db, c)
		r := goodRedemption(issueCode(t, s, goodCode(c)))
		fail := func(err error) error {
			return s.RedeemCode(t.Context(), r, func(context.Context, grant.Authorization) error { return err })
		}
		for _, err := range []error{fault.ErrUnavailable, errors.New("bug")} {
			if got := fail(err); !errors.Is(got, err) {
				t.Fatalf("got %v, want %v", got, err)
			}
		}
		if got := fail(oauth.ErrInvalidTarget); !errors.Is(got, oauth.ErrInvalidTarget) {
			t.Fatalf("after failures of ours: %v, want invalid_target", got)
		}
		_, err := redeem(t.Context(), s, r)
		wantGrantError(t, "after a refusal", err)
	})
}

// O4: of 100 redemptions one wins, and the others take back what it gave.
func TestOneOfManyRedemptionsWins(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		c := newClock()
		s := newService(t, db, c)
		r := goodRedemption(issueCode(t, s, goodCode(c)))
		var won atomic.Int64
		var refresh atomic.Value
		var access atomic.Value
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				err := s.RedeemCode(t.Context(), r, func(ctx context.Context, a grant.Authorization) error {
					token, err := s.IssueRefresh(ctx, a, grant.RefreshLife)
					refresh.Store(token)
					access.Store(accessOf(c, a))
					return err
				})
				switch {
				case err == nil:
					won.Add(1)
				case !errors.Is(err, oauth.ErrInvalidGrant):
					t.Errorf("RedeemCode: %v", err)
				}
			})
		}
		wg.Wait()
		if got := won.Load(); got != 1 {
			t.Fatalf("%d redemptions succeeded, want 1", got)
		}
		if !s.Revoked(access.Load().(oauth.Claims)) {
			t.Error("the access token survived the reuse of its code")
		}
		_, err := rotate(t.Context(), s, refresh.Load().(string))
		wantGrantError(t, "the refresh token after the reuse of its code", err)
	})
}

func TestConsentGrowsAndEnds(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		c := newClock()
		s := newService(t, db, c)
		if _, ok, err := s.Consent(t.Context(), "usr_1", "desktop"); ok || err != nil {
			t.Fatalf("before any consent: %t, %v", ok, err)
		}
		for _, scopes := range [][]string{{"openid", "email"}, {"openid", "llm.inference"}} {
			if err := s.SaveConsent(t.Context(), grant.Consent{UserID: "usr_1", ClientID: "desktop", Scopes: scopes}); err != nil {
				t.Fatal(err)
			}
		}
		got, ok, err := s.Consent(t.Context(), "usr_1", "desktop")
		if err != nil || !ok || !got.Covers([]string{"email", "llm.inference"}, nil) || got.Covers([]string{"admin"}, nil) ||
			got.Covers(nil, []string{"https://api.test"}) || len(got.Added([]string{"openid", "admin"})) != 1 {
			t.Errorf("consent %+v, %t, %v", got, ok, err)
		}
		token, a := start(t, s, c, false)
		access := accessOf(c, a)
		if err := s.RemoveConsent(t.Context(), "usr_1", "desktop"); err != nil {
			t.Fatal(err)
		}
		if _, ok, _ := s.Consent(t.Context(), "usr_1", "desktop"); ok || !s.Revoked(access) {
			t.Error("the consent or its tokens survived")
		}
		_, err = rotate(t.Context(), s, token)
		wantGrantError(t, "refresh without consent", err)
	})
}

// The first decision about a device counts.
func TestADeviceIsDecidedOnce(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		s := newService(t, db, newClock())
		_, code, err := s.IssueDevice(t.Context(), grant.Device{ClientID: "tv", Scopes: []string{"openid"}})
		if err != nil {
			t.Fatal(err)
		}
		d, ok, err := s.DeviceByUserCode(t.Context(), code)
		if err != nil || !ok {
			t.Fatalf("by its code: %t, %v", ok, err)
		}
		if first, err := s.DenyDevice(t.Context(), d.Ref()); err != nil || !first {
			t.Errorf("the first decision: %t, %v", first, err)
		}
		if again, err := s.ApproveDevice(t.Context(), d.Ref(), grant.Code{UserID: "eve"}); err != nil || again {
			t.Errorf("a second one: %t, %v", again, err)
		}
		if _, ok, err := s.DeviceByUserCode(t.Context(), code); err != nil || ok {
			t.Errorf("the code of a decided device: %t, %v", ok, err)
		}
	})
}

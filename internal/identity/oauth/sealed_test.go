package oauth_test

import (
	"strings"
	"testing"

	"github.com/rephlo/rephlo/internal/identity/oauth"
)

func FuzzSealed(f *testing.F) {
	s, err := oauth.NewSealer(make([]byte, 32))
	if err != nil {
		f.Fatal(err)
	}
	good, err := s.Seal(oauth.AccessToken{Subject: "usr_1", Audience: "https://api.test", ClientID: "shop", Expiry: noon.Unix() + 60, IssuedAt: noon.Unix(), JTI: "at_1"})
	if err != nil {
		f.Fatal(err)
	}
	v := newVerifier().Opaque(s)
	if c, err := v.Verify(good); err != nil || c.Subject != "usr_1" || c.ClientID != "shop" {
		f.Fatalf("%+v, %v", c, err)
	}
	if _, err := newVerifier().Verify(good); err == nil {
		f.Fatal("a Verifier without the key takes it")
	}
	f.Add(good)
	f.Add("rph_at_x_000000")
	f.Add(strings.ToUpper(good))
	f.Fuzz(func(t *testing.T, token string) {
		// Other workers of the fuzzer seal the same claims with another nonce.
		if c, err := v.Verify(token); err == nil && (c.Subject != "usr_1" || c.ClientID != "shop" || c.JTI != "at_1") {
			t.Errorf("accepted %q", token)
		}
	})
}

package oauth_test

import (
	"context"
	"crypto"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/rephlo/rephlo/internal/identity/oauth"
	"github.com/rephlo/rephlo/internal/identity/oauth/oauthtest"
)

// memory is an oauth.Once.
func memory() oauth.Once {
	var mu sync.Mutex
	seen := map[string]bool{}
	return func(_ context.Context, kind, value string, _ time.Time) (bool, error) {
		mu.Lock()
		defer mu.Unlock()
		first := !seen[kind+value]
		seen[kind+value] = true
		return first, nil
	}
}

const tokenURL = "https://id.test/oauth/token"

// RFC 9449 section 4.3: every check of a proof.
func TestProofsThatAreRefused(t *testing.T) {
	t.Parallel()
	p := oauth.NewProofs([]byte("key"), memory(), func() time.Time { return noon })
	rsa := oauthtest.NewKey(t, "RS256")
	with, header := oauthtest.With, oauthtest.Header
	for _, alg := range oauth.StrictAlgs() {
		key, other := oauthtest.NewKey(t, alg), oauthtest.NewKey(t, alg)
		good := func(change ...func(h, c oauthtest.Claims)) string {
			return key.Proof("POST", tokenURL, "token", noon, change...)
		}
		for name, proof := range map[string]string{
			"typ":              good(header("typ", "JWT")),
			"no typ":           good(header("typ", nil)),
			"alg none":         good(header("alg", "none")),
			"HS256":            good(header("alg", "HS256")),
			"RS256":            rsa.Proof("POST", tokenURL, "token", noon),
			"no jwk":           good(header("jwk", nil)),
			"another's jwk":    good(header("jwk", other.JWK())),
			"private jwk":      good(func(h, _ oauthtest.Claims) { h["jwk"].(oauthtest.Claims)["d"] = "AA" }),
			"symmetric jwk":    good(header("jwk", oauthtest.Claims{"kty": "oct", "k": "AAAA"})),
			"jku":              good(header("jku", "https://evil.test/keys")),
			"crit":             good(header("crit", []string{"exp"})),
			"htm":              good(with("htm", "GET")),
			"no htm":           good(with("htm", nil)),
			"htu":              good(with("htu", "https://id.test/oauth/par")),
			"htu of another":   good(with("htu", "https://evil.test/oauth/token")),
			"no htu":           good(with("htu", nil)),
			"no iat":           good(with("iat", nil)),
			"old":              good(with("iat", noon.Add(-61*time.Second).Unix())),
			"of the future":    good(with("iat", noon.Add(11*time.Second).Unix())),
			"over":             good(with("exp", noon.Unix())),
			"not yet":          good(with("nbf", noon.Add(time.Minute).Unix())),
			"no jti":           good(with("jti", nil)),
			"long jti":         good(with("jti", strings.Repeat("a", 513))),
			"ath of another":   key.Proof("POST", tokenURL, "other", noon),
			"no ath":           good(with("ath", nil)),
			"changed":          good()[:len(good())-3] + "AAA",
			"doubled":          good() + "." + "AA",
			"line end":         good() + "\n",
			"absurd iat":       good(with("iat", 1e300)),
			"iat is a text":    good(with("iat", "now")),
			"not base64":       "!.!.!",
			"header no object": "W10.e30.AA",
		} {
			if _, err := p.Check(t.Context(), proof, oauth.ProofRules{Method: "POST", URL: tokenURL, AccessToken: "token"}); !errors.Is(err, oauth.ErrProof) {
				t.Errorf("%s %s: %v, want %v", alg, name, err, oauth.ErrProof)
			}
		}
		proof := good(with("htu", "https://ID.test:443/oauth/%74oken?x=1#y"), with("iat", noon.Add(-59*time.Second).Unix()))
		jkt, err := p.Check(t.Context(), proof, oauth.ProofRules{Method: "POST", URL: tokenURL, AccessToken: "token"})
		if err != nil || jkt != key.Thumbprint() {
			t.Errorf("%s: %s, %v", alg, jkt, err)
		}
		if _, err := p.Check(t.Context(), proof, oauth.ProofRules{Method: "POST", URL: tokenURL, AccessToken: "token"}); !errors.Is(err, oauth.ErrProof) {
			t.Errorf("%s a second time: %v", alg, err)
		}
	}
}

// RFC 9449 section 8: the nonce is this server's, of now or of the five minutes
// before.
func TestProofNonces(t *testing.T) {
	t.Parallel()
	now := noon
	clock := func() time.Time { return now }
	p, twin := oauth.NewProofs([]byte("key"), memory(), clock), oauth.NewProofs([]byte("key"), memory(), clock)
	key := oauthtest.NewKey(t, "ES256")
	check := func(nonce any) error {
		_, err := p.Check(t.Context(), key.Proof("POST", tokenURL, "", now, oauthtest.With("nonce", nonce)), oauth.ProofRules{Method: "POST", URL: tokenURL, NeedNonce: true})
		return err
	}
	if err := check(nil); !errors.Is(err, oauth.ErrUseNonce) {
		t.Errorf("without a nonce: %v", err)
	}
	if err := check("invented"); !errors.Is(err, oauth.ErrUseNonce) {
		t.Errorf("an invented nonce: %v", err)
	}
	nonce := twin.Nonce()
	if err := check(nonce); err != nil {
		t.Errorf("the nonce of another server of ours: %v", err)
	}
	now = now.Add(5 * time.Minute)
	if err := check(nonce); err != nil {
		t.Errorf("the nonce before this: %v", err)
	}
	now = now.Add(5 * time.Minute)
	if err := check(nonce); !errors.Is(err, oauth.ErrUseNonce) {
		t.Errorf("an old nonce: %v", err)
	}
}

func TestAssertionsThatAreRefused(t *testing.T) {
	t.Parallel()
	const client, issuer = "shop", "https://id.test"
	with, header := oauthtest.With, oauthtest.Header
	for _, alg := range oauth.ClientAlgs() {
		key, other := oauthtest.NewKey(t, alg), oauthtest.NewKey(t, alg)
		keys, err := oauth.ParseKeySet(key.JWKS())
		if err != nil {
			t.Fatal(err)
		}
		rules := oauth.AssertionRules{ClientID: client, Audiences: []string{issuer}, Algs: oauth.ClientAlgs(), Now: noon}
		good := func(change ...func(h, c oauthtest.Claims)) string {
			return key.Assertion(client, issuer, noon, change...)
		}
		foreign := other.Assertion(client, issuer, noon, header("kid", key.Kid))
		for name, token := range map[string]string{
			"another key":    foreign,
			"another kid":    good(header("kid", "other")),
			"alg none":       good(header("alg", "none")),
			"HS256":          good(header("alg", "HS256")),
			"jwk in header":  other.Assertion(client, issuer, noon, header("jwk", other.JWK())),
			"iss":            good(with("iss", "other")),
			"sub":            good(with("sub", "other")),
			"no sub":         good(with("sub", nil)),
			"aud":            good(with("aud", tokenURL)),
			"no aud":         good(with("aud", nil)),
			"two audiences":  good(with("aud", []string{issuer, "https://other.test"})),
			"no exp":         good(with("exp", nil)),
			"exp over":       good(with("exp", noon.Add(-61*time.Second).Unix())),
			"exp far ahead":  good(with("exp", noon.Add(6*time.Minute).Unix())),
			"iat ahead":      good(with("iat", noon.Add(31*time.Second).Unix())),
			"nbf ahead":      good(with("nbf", noon.Add(61*time.Second).Unix())),
			"no jti":         good(with("jti", nil)),
			"long jti":       good(with("jti", strings.Repeat("a", 513))),
			"crit":           good(header("crit", []string{"b64"}), header("b64", false)),
			"doubled claims": strings.Replace(good(), ".", "..", 1),
		} {
			if _, _, err := oauth.CheckAssertion(token, keys, rules); !errors.Is(err, oauth.ErrInvalidClient) {
				t.Errorf("%s %s: %v, want %v", alg, name, err, oauth.ErrInvalidClient)
			}
		}
		one := good(with("aud", []string{issuer}), with("iat", noon.Add(29*time.Second).Unix()))
		if _, until, err := oauth.CheckAssertion(one, keys, rules); err != nil || !until.After(noon.Add(time.Minute)) {
			t.Errorf("%s: %v, remembered until %v", alg, err, until)
		}
		rules.Text = true
		if _, _, err := oauth.CheckAssertion(one, keys, rules); err == nil {
			t.Errorf("%s: a list as aud was accepted although it must be a text", alg)
		}
		if _, _, err := oauth.CheckAssertion(good(), keys, rules); err != nil {
			t.Errorf("%s: %v", alg, err)
		}
	}
}

func TestKeySets(t *testing.T) {
	t.Parallel()
	key := oauthtest.NewKey(t, "ES256")
	private := strings.Replace(string(key.JWKS()), `"kty"`, `"d":"AAAA","kty"`, 1)
	small := `{"keys":[{"kty":"RSA","n":"` + strings.Repeat("A", 100) + `","e":"AQAB"}]}`
	for name, raw := range map[string]string{
		"empty": "", "no object": "[]", "no keys": `{"keys":[]}`, "private": private, "symmetric": `{"keys":[{"kty":"oct","k":"AAAA"}]}`,
		"small RSA": small, "large": strings.Repeat(" ", oauth.MaxKeySet) + string(key.JWKS()),
		"off the curve": `{"keys":[{"kty":"EC","crv":"P-256","x":"AAAA","y":"AAAA"}]}`,
		"encryption":    strings.Replace(string(key.JWKS()), `"sig"`, `"enc"`, 1),
	} {
		if _, err := oauth.ParseKeySet([]byte(raw)); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
	var set struct{ Keys []json.RawMessage }
	if err := json.Unmarshal(key.JWKS(), &set); err != nil {
		t.Fatal(err)
	}
	mixed := `{"keys":[{"kty":"EC","crv":"P-521"},{"kty":"new"},` + string(set.Keys[0]) + `]}`
	if keys, err := oauth.ParseKeySet([]byte(mixed)); err != nil || keys.Len() != 1 || !keys.Has(key.Kid) {
		t.Errorf("a set with keys of other kinds: %d, %v", keys.Len(), err)
	}
}

// thumbprint is that of the key in a proof's header (RFC 7638).
func thumbprint(proof string) string {
	text, _, _ := strings.Cut(proof, ".")
	raw, _ := base64.RawURLEncoding.DecodeString(text)
	var h struct {
		JWK jose.JSONWebKey `json:"jwk"`
	}
	_ = json.Unmarshal(raw, &h)
	sum, _ := h.JWK.Thumbprint(crypto.SHA256)
	return base64.RawURLEncoding.EncodeToString(sum)
}

func FuzzProof(f *testing.F) {
	key := oauthtest.NewKey(f, "ES256")
	f.Add(key.Proof("POST", tokenURL, "", noon))
	f.Add("a.b.c")
	p := oauth.NewProofs([]byte("key"), memory(), func() time.Time { return noon })
	f.Fuzz(func(t *testing.T, proof string) {
		if got, err := p.Check(context.Background(), proof, oauth.ProofRules{Method: "POST", URL: tokenURL}); err == nil && got != thumbprint(proof) {
			t.Errorf("the proof is said to be by %s, its key is %s", got, thumbprint(proof))
		} else if err != nil && !errors.Is(err, oauth.ErrProof) && !errors.Is(err, oauth.ErrUseNonce) {
			t.Errorf("%q: %v", proof, err)
		}
	})
}

func FuzzAssertion(f *testing.F) {
	key := oauthtest.NewKey(f, "ES256")
	keys, err := oauth.ParseKeySet(key.JWKS())
	if err != nil {
		f.Fatal(err)
	}
	good := key.Assertion("shop", "https://id.test", noon)
	f.Add(good)
	f.Add("a.b.c")
	f.Fuzz(func(t *testing.T, token string) {
		_, _, _ = oauth.AssertionClient(token)
		_, _, err := oauth.CheckAssertion(token, keys, oauth.AssertionRules{ClientID: "shop", Audiences: []string{"https://id.test"}, Algs: oauth.ClientAlgs(), Now: noon})
		if err == nil && token[:strings.LastIndexByte(token, '.')] != good[:strings.LastIndexByte(good, '.')] {
			t.Errorf("accepted %q", token)
		}
	})
}

func FuzzKeySet(f *testing.F) {
	f.Add(oauthtest.NewKey(f, "ES256").JWKS())
	f.Add(oauthtest.NewKey(f, "EdDSA").JWKS())
	f.Add([]byte(`{"keys":[{"kty":"oct","k":"AA"}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if keys, err := oauth.ParseKeySet(raw); err == nil && (keys.Len() < 1 || keys.Len() > 20) {
			t.Errorf("%d keys", keys.Len())
		}
	})
}

func FuzzRequestObject(f *testing.F) {
	key := oauthtest.NewKey(f, "ES256")
	keys, err := oauth.ParseKeySet(key.JWKS())
	if err != nil {
		f.Fatal(err)
	}
	good := key.Sign(oauthtest.Claims{}, oauthtest.Claims{"iss": "shop", "aud": "https://id.test", "exp": noon.Unix() + 60, "scope": "openid", "max_age": 5})
	f.Add(good)
	f.Add("a.b.c")
	f.Fuzz(func(t *testing.T, token string) {
		_ = oauth.RequestKid(token)
		o, err := oauth.CheckRequestObject(token, keys, oauth.RequestRules{ClientID: "shop", Issuer: "https://id.test", Algs: oauth.ClientAlgs(), Now: noon})
		if err == nil && (token[:strings.LastIndexByte(token, '.')] != good[:strings.LastIndexByte(good, '.')] || o.Values.Get("max_age") != "5") {
			t.Errorf("accepted %q", token)
		}
	})
}

// Whatever is asked for by claims: only scopes of claims come out, and names
// that are known.
func FuzzParseClaims(f *testing.F) {
	f.Add(`{"userinfo":{"email":{"essential":true}},"id_token":{"sub":{"value":"usr_1"},"acr":{"essential":true,"values":["mfa"]},"name":null}}`)
	f.Add(`[]`)
	f.Fuzz(func(t *testing.T, text string) {
		r, err := oauth.ParseClaims(text)
		if err != nil {
			return
		}
		for _, s := range r.Scopes {
			if s != oauth.ScopeProfile && s != oauth.ScopeEmail {
				t.Errorf("%q opens %s", text, s)
			}
		}
		for _, c := range r.IDToken {
			if strings.ContainsAny(c, " \t") {
				t.Errorf("%q gives the claim %q", text, c)
			}
		}
	})
}

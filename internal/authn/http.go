package authn

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/identity/oauth"
	"github.com/rephlo/rephlo/internal/web"
)

// API publishes how to get a credential (RFC 9728).
type API struct {
	Resource string // the public address of the Resource API, the tokens' audience
	Issuer   string // the Identity Provider
}

// metadata is the document of RFC 9728 section 2. offline_access is left out:
// it is no right at this resource.
type metadata struct {
	Resource      string   `json:"resource"`
	Name          string   `json:"resource_name"`
	Servers       []string `json:"authorization_servers"`
	Scopes        []string `json:"scopes_supported"`
	BearerMethods []string `json:"bearer_methods_supported"`
	DPoPAlgs      []string `json:"dpop_signing_alg_values_supported"`
}

// Mount registers the route. The same address with a path behind it would
// describe another resource; there is none.
func (a API) Mount(m *web.Mux) {
	body, err := json.Marshal(metadata{
		Resource: a.Resource, Name: "Rephlo", Servers: []string{a.Issuer},
		Scopes: []string{
			access.ScopeInference, access.ScopeModels, access.ScopeUser, access.ScopeAccountManage,
			access.ScopeCredits, access.ScopeKeys, access.ScopeBilling, access.ScopeWebhooks,
		},
		BearerMethods: []string{"header"}, DPoPAlgs: oauth.StrictAlgs(),
	})
	sum := sha256.Sum256(body)
	etag := `"` + hex.EncodeToString(sum[:8]) + `"`
	m.Handle("GET /.well-known/oauth-protected-resource", func(w http.ResponseWriter, r *http.Request) error {
		if err != nil {
			return err
		}
		h := w.Header()
		h.Set("Cache-Control", "public, max-age=60")
		h.Set("ETag", etag)
		if r.Header.Get("If-None-Match") == etag {
			w.WriteHeader(http.StatusNotModified)
			return nil
		}
		h.Set("Content-Type", "application/json")
		_, _ = w.Write(body) // a client that left is not our error
		return nil
	}, web.Raw(), web.AnyOrigin(), web.Open(), web.Gives(http.StatusOK, "", metadata{}), web.Doc("Show how to get a token for this API (RFC 9728)"))
}

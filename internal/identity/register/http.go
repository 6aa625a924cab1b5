package register

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/identity/client"
	"github.com/rephlo/rephlo/internal/identity/grant"
	"github.com/rephlo/rephlo/internal/identity/oauth"
	"github.com/rephlo/rephlo/internal/secret"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/web"
)

// Path of the endpoint.
const Path = "/oauth/register"

const (
	maxBody  = 64 << 10
	perHour  = 10 // registrations of one address
	anHour   = time.Hour
	patience = 10 * time.Second
)

var errStorage = fault.New(fault.Unavailable, "temporarily_unavailable", "The service cannot answer right now. Nothing was changed; try again in a few seconds.").After(2 * time.Second)

// Mode says who may register.
type Mode string

// The modes.
const (
	Open  Mode = "open"  // everybody
	Token Mode = "token" // who has the initial access token
	Off   Mode = "off"
)

// Needs is what an API is made of.
type Needs struct {
	Issuer  string
	Mode    Mode
	Initial secret.String // the initial access token, in mode Token
	Clients *client.Service
	Grants  *grant.Service
	Now     func() time.Time
	// Address returns who is asking, for the limit.
	Address func(*http.Request) string
	// PerHour is how many registrations an address may make; zero means 10.
	PerHour int
}

// API serves the endpoints.
type API struct {
	Needs
	limit *oauth.Limiter
}

// New returns an API.
func New(n Needs) *API {
	if n.PerHour == 0 {
		n.PerHour = perHour
	}
	return &API{Needs: n, limit: oauth.NewLimiter(n.PerHour, anHour, n.Now)}
}

// Mount registers the routes, unless nobody may register.
func (a *API) Mount(m *web.Mux) {
	if a.Mode == Off {
		return
	}
	policies := []web.Option{web.Errors(writeError), web.Failures(oauth.ErrorBody{}), web.Body(maxBody), web.AnyOrigin(), web.Secured(web.SchemeToken)}
	policies = slices.Clip(policies)
	m.Handle("POST "+Path, a.register, append(policies, web.Doc("Register a client (RFC 7591)"), web.Takes("", Metadata{}), web.Gives(http.StatusCreated, "", answer{}))...)
	m.Handle("GET "+Path+"/{clientId}", a.read, append(policies, web.Doc("Show the registration of a client (RFC 7592)"), web.Gives(http.StatusOK, "", answer{}))...)
	m.Handle("PUT "+Path+"/{clientId}", a.replace, append(policies, web.Doc("Replace the registration of a client"), web.Takes("", Metadata{}), web.Gives(http.StatusOK, "", answer{}))...)
	m.Handle("DELETE "+Path+"/{clientId}", a.remove, append(policies, web.Doc("Remove a client"), web.Gives(http.StatusNoContent, "-", nil))...)
}

// writeError adds the challenge that goes with a refused token.
func writeError(w http.ResponseWriter, r *http.Request, f *fault.Error) {
	if f.Code == oauth.ErrInvalidToken.Code {
		w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
	}
	oauth.WriteError(w, r, f)
}

// answer is what a client is told about its registration (RFC 7591 section
// 3.2.1).
type answer struct {
	ID            string `json:"client_id"`
	Secret        string `json:"client_secret,omitempty"`
	IssuedAt      int64  `json:"client_id_issued_at"`
	SecretExpires *int64 `json:"client_secret_expires_at,omitempty"` // 0: never
	Token         string `json:"registration_access_token,omitempty"`
	URI           string `json:"registration_client_uri"`
	Metadata
}

func (a *API) answer(w http.ResponseWriter, status int, r client.Registration) error {
	m, err := describe(r.Client)
	if err != nil {
		return err
	}
	out := answer{
		ID: r.Client.ID, Secret: r.Secret, IssuedAt: r.Client.CreatedAt.Unix(), Token: r.Token, URI: a.Issuer + Path + "/" + r.Client.ID, Metadata: m,
	}
	if r.Client.AuthMethod == client.AuthBasic || r.Client.AuthMethod == client.AuthPost {
		out.SecretExpires = new(int64)
	}
	return web.JSON(w, status, out)
}

func (a *API) register(w http.ResponseWriter, r *http.Request) error {
	if a.Mode == Token {
		token := bearer(r)
		if a.Initial.Empty() || subtle.ConstantTimeCompare([]byte(token), []byte(a.Initial.Reveal())) != 1 {
			return oauth.ErrInvalidToken.Saying("Registering needs the initial access token that the operator gives out.")
		}
	}
	if err := a.limit.Check(a.Address(r)); err != nil {
		return err
	}
	c, _, err := a.metadata(r)
	if err != nil {
		return err
	}
	a.limit.Count(a.Address(r))
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	done, err := a.Clients.Register(ctx, c)
	if err != nil {
		return refusal(err)
	}
	return a.answer(w, http.StatusCreated, done)
}

func (a *API) read(w http.ResponseWriter, r *http.Request) error {
	c, err := a.Clients.Registered(r.Context(), r.PathValue("clientId"), bearer(r))
	if err != nil {
		return refusal(err)
	}
	return a.answer(w, http.StatusOK, client.Registration{Client: c})
}

func (a *API) replace(w http.ResponseWriter, r *http.Request) error {
	id, token := r.PathValue("clientId"), bearer(r)
	if _, err := a.Clients.Registered(r.Context(), id, token); err != nil { // before anything is said about the body
		return refusal(err)
	}
	c, said, err := a.metadata(r)
	if err != nil {
		return err
	}
	if said != id {
		return oauth.ErrInvalidRequest.Saying("The body must have the client_id of the address.")
	}
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	done, err := a.Clients.Replace(ctx, id, token, c)
	if err != nil {
		return refusal(err)
	}
	return a.answer(w, http.StatusOK, done)
}

func (a *API) remove(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("clientId")
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	err := a.Clients.Unregister(ctx, id, bearer(r), func(ctx context.Context) error {
		return a.Grants.Revoke(ctx, grant.KindClient, id)
	})
	if err != nil {
		return refusal(err)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// metadata reads the body: the client it describes, and the id it names.
func (a *API) metadata(r *http.Request) (client.Client, string, error) {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != "application/json" {
		return client.Client{}, "", oauth.ErrInvalidRequest.Saying("Send the metadata as JSON: Content-Type application/json.")
	}
	data, err := io.ReadAll(r.Body)
	if err != nil {
		return client.Client{}, "", web.Classify(err)
	}
	c, id, err := parse(data)
	return c, id, err
}

// parse reads the metadata document.
func parse(data []byte) (client.Client, string, error) {
	var m struct {
		ID string `json:"client_id"`
		Metadata
	}
	if err := decode(data, &m); err != nil {
		return client.Client{}, "", err
	}
	c, err := m.client()
	return c, m.ID, err
}

func decode(data []byte, into any) error {
	if web.Depth(data) > web.MaxDepth || json.Unmarshal(data, into) != nil || !strings.HasPrefix(strings.TrimSpace(string(data)), "{") {
		return errMetadata.Saying("The body is not a JSON object, or a member has the wrong type.")
	}
	return nil
}

// bearer returns the token of the Authorization header, or "".
func bearer(r *http.Request) string {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || len(r.Header["Authorization"]) > 1 {
		return ""
	}
	return token
}

func refusal(err error) error {
	switch f := fault.From(err); {
	case sqldb.IsUnavailable(err):
		return errStorage.Because(err)
	case f.Code == client.ErrInvalid.Code:
		return errMetadata.Saying("%s", f.Message)
	}
	return err
}

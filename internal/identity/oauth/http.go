package oauth

import (
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/web"
)

// codes are the registered error codes that each kind of fault becomes when
// its own is not one of them.
var codes = map[fault.Kind]string{
	fault.Internal: "server_error", fault.Unavailable: "temporarily_unavailable", fault.RateLimited: "slow_down",
	fault.Unauthenticated: "invalid_client", fault.Forbidden: "access_denied",
}

var registered = map[string]bool{
	"invalid_request": true, "invalid_client": true, "invalid_grant": true, "invalid_scope": true, "invalid_target": true,
	"invalid_token": true, "insufficient_scope": true, "unauthorized_client": true, "unsupported_grant_type": true,
	"invalid_redirect_uri": true, "invalid_client_metadata": true, "unsupported_token_type": true, "slow_down": true, "invalid_dpop_proof": true, "use_dpop_nonce": true,
	"authorization_pending": true, "expired_token": true, "access_denied": true, "invalid_request_uri": true, "invalid_request_object": true, "temporarily_unavailable": true, "server_error": true,
}

// WriteError writes f as RFC 6749 section 5.2 wants it. It is a
// web.ErrorWriter.
func WriteError(w http.ResponseWriter, _ *http.Request, f *fault.Error) {
	code := f.Code
	if !registered[code] {
		code = codes[f.Kind]
	}
	if code == "" {
		code = "invalid_request"
	}
	_ = web.JSON(w, f.Kind.Status(), ErrorBody{code, ASCII(f.Message)}) // it always encodes
}

// ErrorBody is an error of the OAuth endpoints.
type ErrorBody struct {
	Error       string `json:"error"`
	Description string `json:"error_description"`
}

// Errors is how routes of OAuth fail.
func Errors() web.Option { return web.All(web.Errors(WriteError), web.Failures(ErrorBody{})) }

// MediaForm is the media type of requests.
const MediaForm = "application/x-www-form-urlencoded"

// ReadForm reads the form that r's body is. Parameters of the address are
// never read: they would end up in logs.
func ReadForm(r *http.Request) (url.Values, error) {
	media, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	if !strings.EqualFold(strings.TrimSpace(media), "application/x-www-form-urlencoded") {
		return nil, ErrInvalidRequest.Saying("Send the parameters as a form: Content-Type application/x-www-form-urlencoded.")
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		if f := web.Classify(err); f.Kind != fault.Internal {
			return nil, f
		}
		return nil, ErrInvalidRequest.Saying("The body ended too early.").Because(err)
	}
	return ParseForm(string(body))
}

// ReadProof returns the DPoP proof of a request, or "" if there is none. Several
// are ErrProof (RFC 9449 section 4.3).
func ReadProof(r *http.Request) (string, error) {
	switch list := r.Header["Dpop"]; {
	case len(list) == 0:
		return "", nil
	case len(list) > 1 || list[0] == "":
		return "", ErrProof.Saying("The DPoP proof is wrong: send one DPoP header.")
	default:
		return list[0], nil
	}
}

// Prove checks the DPoP proof of a request to address, an endpoint of ours, and
// returns the thumbprint of its key; "" when there is none. The answer then
// carries the nonce for the next proof (RFC 9449 section 8).
func (p *Proofs) Prove(w http.ResponseWriter, r *http.Request, address string, needNonce bool) (string, error) {
	proof, err := ReadProof(r)
	if proof == "" || err != nil {
		return "", err
	}
	w.Header().Set("DPoP-Nonce", p.Nonce())
	return p.Check(r.Context(), proof, ProofRules{Method: r.Method, URL: address, NeedNonce: needNonce})
}

// Form returns a handler that reads the form first.
func Form(next func(w http.ResponseWriter, r *http.Request, v url.Values) error) web.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		v, err := ReadForm(r)
		if err != nil {
			return err
		}
		return next(w, r, v)
	}
}

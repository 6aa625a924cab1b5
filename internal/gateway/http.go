package gateway

import (
	"net/http"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/web"
)

// API is the model calls.
type API struct{ Calls *Service }

// Mount registers the routes.
func (a API) Mount(m *web.Mux) {
	s := a.Calls
	mount := func(path string, op *operation, h web.Handler) {
		m.Handle("POST "+path, h, web.Raw(), web.Body(s.limits.Body), web.Errors(errorsOf(op, s.needs.DocURL)), described(path))
	}
	for _, op := range operations {
		if op == opGemini { // with all methods of the path
			mount(op.path, op, s.gemini())
			continue
		}
		mount(op.path, op, s.handler(op))
	}
	web.Route(m, "POST /v1/estimate", a.estimated, access.Needs(access.ScopeInference), web.Status(http.StatusOK), web.Tag(tagCalls), web.Doc("What a call would cost, without making it"))
	web.Route(m, "GET /v1/rate-limit", a.rate, access.Needs(), web.Doc("Where you stand with every limit"))
	mount("/v1/messages/count_tokens", opMessages, func(w http.ResponseWriter, r *http.Request) error {
		return s.count(countMessages, w, r)
	})
}

package gateway

import (
	"github.com/rephlo/rephlo/internal/web"
)

// API is the model calls.
type API struct{ Calls *Service }

// Mount registers the routes.
func (a API) Mount(m *web.Mux) {
	s := a.Calls
	for _, op := range operations {
		m.Handle("POST "+op.path, s.handler(op), web.Raw(), web.Body(s.limits.Body), web.Errors(errorsOf(op, s.needs.DocURL)))
	}
	m.Handle("POST /v1/messages/count_tokens", s.countMessages, web.Raw(), web.Body(s.limits.Body), web.Errors(errorsOf(opMessages, s.needs.DocURL)))
}

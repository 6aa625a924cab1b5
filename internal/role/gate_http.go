package role

import (
	"context"
	"net/http"
	"strings"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/web"
)

// Gate holds the conditions of administration before every route of /admin:
// see Admit. It goes inside of the authentication. Who is no administrator is
// left to the route, which refuses them. address says where a request came from.
func (s *Service) Gate(address func(*http.Request) string) web.Middleware {
	return func(next web.Handler) web.Handler {
		return func(w http.ResponseWriter, r *http.Request) error {
			if !strings.HasPrefix(r.URL.Path, "/admin/") {
				return next(w, r)
			}
			a, err := access.From(r.Context())
			if err == nil && a.KeyID == "" && a.Has(access.ScopeAdmin) {
				from := address(r)
				if err := s.AdmitFrom(r.Context(), a.Roles, from); err != nil {
					return err
				}
				if err := s.Admit(r.Context(), a); err != nil {
					return err
				}
				r = r.WithContext(context.WithValue(r.Context(), fromKey{}, from))
			}
			return next(w, r)
		}
	}
}

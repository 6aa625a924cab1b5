package audit

import (
	"context"
	"net/http"
	"strings"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/web"
)

// Middleware lets what a request does be remembered with where it came from,
// and remembers the requests of signed-in people to /admin that are refused. It
// goes inside of the authentication. address says where a request came from.
func (l *Log) Middleware(address func(*http.Request) string) web.Middleware {
	return func(next web.Handler) web.Handler {
		return func(w http.ResponseWriter, r *http.Request) error {
			o := &origin{IP: address(r), Client: word(r.UserAgent(), maxWord), requestID: web.RequestID(w)}
			ctx := context.WithValue(r.Context(), originKey{}, o)
			err := next(w, r.WithContext(ctx))
			if !strings.HasPrefix(r.URL.Path, "/admin/") {
				return err
			}
			switch {
			case err != nil:
				l.refused(ctx, r, err)
			case !o.written && changes(r.Method):
				l.log.DebugContext(ctx, "a request to change something left no audit entry", "request_id", o.requestID)
			}
			return err
		}
	}
}

func changes(method string) bool { return method != http.MethodGet && method != http.MethodHead }

// refusalsPerMinute bounds what one person can write into the log by asking for
// what they may not have.
const refusalsPerMinute = 20

// refused remembers that somebody who is signed in was not allowed something.
func (l *Log) refused(ctx context.Context, r *http.Request, err error) {
	a, unknown := access.From(ctx)
	f := fault.From(err)
	if unknown != nil || f.Kind != fault.Forbidden && f.Kind != fault.Unauthenticated {
		return
	}
	if _, wait := l.often.Take(a.UserID, refusalsPerMinute); wait > 0 {
		return
	}
	after := map[string]any{"fault": f.Code} // a field named code would be taken for a secret
	for _, name := range []string{"permission", "scopes"} {
		if v, ok := f.Details[name]; ok {
			after[name] = v
		}
	}
	c := Change{Action: "admin.refused", Type: "route", ID: r.Method + " " + r.URL.Path, Outcome: Refused, After: after}
	if err := l.Write(ctx, c); err != nil {
		l.log.ErrorContext(ctx, "a refusal was not remembered", "err", err)
	}
}

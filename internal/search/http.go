package search

import (
	"context"
	"strings"
	"time"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/audit"
	"github.com/rephlo/rephlo/internal/web"
)

// Most is how many hits of a kind are shown.
const Most = 10

// Hit is something that was found.
type Hit struct {
	ID     string    `json:"id"`
	UserID string    `json:"userId" doc:"Whose it is"`
	Title  string    `json:"title"`
	Detail string    `json:"detail"`
	Path   string    `json:"path" doc:"Where administrators see it"`
	At     time.Time `json:"createdAt"`
}

// Source is a kind of things that can be found.
type Source struct {
	Kind       string
	Permission access.Permission // of who may look
	// Find returns up to Most things of this name, as far as the reader may see
	// them; none is no error.
	Find func(ctx context.Context, reader access.Actor, name string) ([]Hit, error)
}

// AdminAPI is the search of administrators.
type AdminAPI struct {
	Sources []Source
	Audit   *audit.Log
}

// Mount registers the route.
func (a AdminAPI) Mount(m *web.Mux) {
	web.Route(m, "GET /admin/search", a.search, access.Allows(access.ViewUsers), web.Doc("Find people, keys, requests and subscriptions by what names them"))
}

type input struct {
	Q string `query:"q" required:"true" minLength:"3" maxLength:"254" doc:"An address, a user name, an id, the first 12 characters of an API key, or a request id"`
}

type output struct {
	Body struct {
		Hits []Group `json:"hits" doc:"Only kinds that you may see and of which something was found"`
	}
}

// Group is what was found of one kind.
type Group struct {
	Kind string `json:"kind"`
	Data []Hit  `json:"data"`
}

func (a AdminAPI) search(ctx context.Context, in *input) (*output, error) {
	reader, err := access.From(ctx)
	if err != nil {
		return nil, err
	}
	out := &output{}
	out.Body.Hits = []Group{}
	found := 0
	for _, s := range a.Sources {
		if !reader.May(s.Permission) {
			continue
		}
		hits, err := s.Find(ctx, reader, strings.TrimSpace(in.Q))
		if err != nil {
			return nil, err
		}
		if len(hits) > 0 {
			out.Body.Hits, found = append(out.Body.Hits, Group{s.Kind, hits}), found+len(hits)
		}
	}
	// What was looked for may be an address, so it is not remembered.
	return out, a.Audit.Write(ctx, audit.Change{Action: "users.search", Type: "user", After: map[string]any{"hits": found}})
}

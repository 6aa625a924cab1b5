package catalog

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/list"
	"github.com/rephlo/rephlo/internal/web"
)

// AdminAPI is what administrators do with providers, models and prices.
type AdminAPI struct {
	Models  *Service
	Cursors list.Cursors
	// Prober tries keys; Health says how the deployments do.
	Prober Prober
	Health func() []DeploymentHealth
}

// Mount registers the routes.
func (a AdminAPI) Mount(m *web.Mux) {
	a.mountProviders(m)
	a.mountModels(m)
	a.mountPrices(m)
	a.mountImport(m)
}

// PageInput asks for a part of a list.
type PageInput struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"100" default:"20"`
	Cursor string `query:"cursor"`
}

// WhyInput is the body of a change that needs nothing but its reason.
type WhyInput struct {
	Body struct {
		Reason string `json:"reason" minLength:"10" maxLength:"500"`
	}
}

// WhyQuery is the reason of a DELETE, which has no body.
type WhyQuery struct {
	Reason string `query:"reason" required:"true" minLength:"10" maxLength:"500"`
	Match  string `header:"If-Match" maxLength:"64"`
}

func (w WhyQuery) by(ctx context.Context) (By, error) { return by(ctx, w.Reason, w.Match) }

// by is who sends a request, and why.
func by(ctx context.Context, reason, match string) (By, error) {
	actor, err := access.From(ctx)
	return By{Actor: actor.UserID, Reason: reason, Seen: match}, err
}

// page returns the part of a list in memory that was asked for. The list is
// ordered by name ascending.
func page[T any](c list.Cursors, name string, all []T, in PageInput, key func(T) string) (list.Page[T], error) {
	out := list.Page[T]{Data: []T{}}
	from := 0
	if in.Cursor != "" {
		var last string
		if err := c.Decode(name, in.Cursor, &last); err != nil {
			return out, err
		}
		at, found := slices.BinarySearchFunc(all, last, func(v T, last string) int { return cmp.Compare(key(v), last) })
		if from = at; found {
			from++
		}
	}
	end := min(from+in.Limit, len(all))
	out.Data = append(out.Data, all[from:end]...)
	if end < len(all) && end > from {
		cursor, err := c.Encode(name, key(all[end-1]))
		if err != nil {
			return out, err
		}
		out.NextCursor = &cursor
	}
	return out, nil
}

// rest cuts a list that was read with one row more than the page has, and
// returns the cursor of the next.
func rest[T, P any](c list.Cursors, name string, rows []T, limit int, place func(T) P) ([]T, *string, error) {
	if len(rows) <= limit {
		return rows, nil, nil
	}
	rows = rows[:limit]
	cursor, err := c.Encode(name, place(rows[limit-1]))
	return rows, &cursor, err
}

// shownEvent is a change as the API shows it.
type shownEvent struct {
	ID        string          `json:"id"`
	Kind      string          `json:"kind"`
	Subject   string          `json:"subject"`
	Action    string          `json:"action"`
	CreatedAt time.Time       `json:"createdAt"`
	Actor     string          `json:"actor"`
	Reason    string          `json:"reason"`
	Before    json.RawMessage `json:"before"`
	After     json.RawMessage `json:"after"`
}

type eventsOutput struct{ Body list.Page[shownEvent] }

// events answers with a page of the changes of a kind.
func (a AdminAPI) events(ctx context.Context, kind, subject string, in PageInput) (*eventsOutput, error) {
	name := "history " + kind + " " + subject
	before := ""
	if in.Cursor != "" {
		if err := a.Cursors.Decode(name, in.Cursor, &before); err != nil {
			return nil, err
		}
	}
	found, err := a.Models.history(ctx, kind, subject, before, in.Limit+1)
	if err != nil {
		return nil, err
	}
	found, next, err := rest(a.Cursors, name, found, in.Limit, func(e Event) string { return e.ID })
	if err != nil {
		return nil, err
	}
	out := &eventsOutput{Body: list.Page[shownEvent]{Data: []shownEvent{}, NextCursor: next}}
	for _, e := range found {
		out.Body.Data = append(out.Body.Data, shownEvent{e.ID, e.Kind, e.Subject, e.Action, e.At, e.Actor, e.Reason, e.Before, e.After})
	}
	return out, nil
}

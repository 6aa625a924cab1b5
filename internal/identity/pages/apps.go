package pages

import (
	"net/http"
	"time"

	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/ui"
)

// SignedIn is one sign-in in a browser.
type SignedIn struct {
	ID, Device, Address string
	SeenAt              time.Time
	Here                bool // it is the one that looks
}

// Seen returns when it was used last, as people read it.
func (s SignedIn) Seen() string { return s.SeenAt.UTC().Format("2 January 2006, 15:04 MST") }

// App is a client that somebody has let in.
type App struct {
	ID, Name      string
	FirstParty    bool
	Scopes        []string
	Texts         map[string]string // of the scopes of others
	Since, UsedAt time.Time
	Limit         money.Credits // in a month; 0: none
}

// At returns since when it has access, as people read it.
func (a App) At() string { return day(a.Since) }

// Field returns the limit as it stands in its field.
func (a App) Field() string {
	if a.Limit == 0 {
		return ""
	}
	return a.Limit.String()
}

// Used returns when it was used last, or "".
func (a App) Used() string { return day(a.UsedAt) }

type shownApp struct {
	App
	Letter string
	May    []string
}

// Apps shows the clients that p has let in. done is what was done just now.
func (s *Screens) Apps(w http.ResponseWriter, p Person, list []App, done string) error {
	base, status := s.area("apps.title", "/account/apps", p, "", nil)
	base.Done = s.done("apps", done)
	d := struct {
		area
		Apps []shownApp
	}{area: base}
	for _, a := range list {
		a.Name = shown(a.Name)
		row := shownApp{App: a, Letter: first(a.Name)}
		for _, scope := range a.Scopes {
			row.May = append(row.May, s.scope(scope, a.Texts))
		}
		d.Apps = append(d.Apps, row)
	}
	return s.t.Render(w, status, "apps", &d, ui.Options{})
}

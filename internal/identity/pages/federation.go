package pages

import (
	"net/http"
	"net/url"
	"time"

	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/ui"
)

// Social is a service where people have accounts that they can sign in with.
type Social struct{ ID, Name string }

// way is a link of the sign-in page.
type way struct{ Name, URL string }

func (s *Screens) ways(i Interaction) []way {
	var out []way
	for _, p := range s.Social {
		out = append(out, way{p.Name, "/federation/" + url.PathEscape(p.ID) + "/start?interaction=" + url.QueryEscape(i.UID)})
	}
	return out
}

type linkFirst struct {
	ui.Page
	Provider, Email, Next, Back string
}

// LinkFirst says that the address email of provider has an account, and leads on
// to where its owner signs in and links the two.
func (s *Screens) LinkFirst(w http.ResponseWriter, i Interaction, provider, email, next string, err *fault.Error) error {
	d := linkFirst{
		Page: ui.Page{Title: s.t.Text("linkfirst.title")}, Provider: shown(provider), Email: shown(email), Next: next, Back: i.path(""),
	}
	return s.t.Render(w, err.Kind.Status(), "linkfirst", &d, i.options())
}

// Join is what a page shows before it creates an account.
type Join struct{ ID, Action, Provider, Email, Name, Interaction string }

type join struct {
	ui.Page
	Join
	Back, Problem string
}

// Join asks whether to create an account for somebody whom a provider names; err
// is what was wrong with the last answer.
func (s *Screens) Join(w http.ResponseWriter, in Join, err *fault.Error) error {
	in.Provider, in.Email, in.Name = shown(in.Provider), shown(in.Email), shown(in.Name)
	d := join{Page: ui.Page{Title: s.t.Text("join.title")}, Join: in, Back: Interaction{UID: in.Interaction}.path("")}
	status := http.StatusOK
	if err != nil {
		status, d.Problem = err.Kind.Status(), err.Message
	}
	return s.t.Render(w, status, "join", &d, ui.Options{})
}

type link struct {
	ui.Page
	ID, Action, Provider, Theirs, Name, Email, Initial string
}

// Link asks p whether the account theirs at provider may sign in to p's.
func (s *Screens) Link(w http.ResponseWriter, p Person, provider, theirs, action, id string) error {
	d := link{
		Page: ui.Page{Title: s.t.Text("link.title", shown(provider))}, ID: id, Action: action, Provider: shown(provider), Theirs: shown(theirs),
		Name: shown(p.Name), Email: p.Email, Initial: first(p.Name),
	}
	return s.t.Render(w, http.StatusOK, "link", &d, ui.Options{})
}

// Identity is an account elsewhere that signs in here.
type Identity struct {
	ID, Provider, Email string
	AddedAt, UsedAt     time.Time
}

// Added returns when it was linked, as people read it.
func (i Identity) Added() string { return day(i.AddedAt) }

// Used returns when it signed in last.
func (i Identity) Used() string { return day(i.UsedAt) }

package manual

import (
	"embed"
	"net/http"

	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/ui"
	"github.com/rephlo/rephlo/internal/web"
)

//go:embed templates/*.html texts/en.json
var files embed.FS

// Path is where the list is; an explanation is at Path/code.
const Path = "/docs/errors"

// Manual serves the pages.
type Manual struct{ t *ui.Templates }

// New parses the templates. name is the name of this installation.
func New(name string) (*Manual, error) {
	t, err := ui.Parse(files, name)
	if err != nil {
		return nil, err
	}
	return &Manual{t}, nil
}

// Mount registers the routes.
func (m *Manual) Mount(mux *web.Mux) {
	mux.Handle("GET "+Path, m.list, web.Page(), web.Errors(m.writeError))
	mux.Handle("GET "+Path+"/{code}", m.code, web.Page(), web.Errors(m.writeError))
}

// list is the data of list.html.
type list struct {
	ui.Page
	Groups []group
}

type group struct {
	Title string
	Codes []Code
}

func (m *Manual) list(w http.ResponseWriter, _ *http.Request) error {
	d := list{Page: ui.Page{Title: m.t.Text("list.title"), Wide: true}}
	for _, topic := range topics {
		g := group{Title: m.t.Text("topic." + string(topic))}
		for _, c := range Codes {
			if c.Topic == topic {
				g.Codes = append(g.Codes, c)
			}
		}
		d.Groups = append(d.Groups, g)
	}
	return m.t.Render(w, http.StatusOK, "list", &d, ui.Options{})
}

// code is the data of code.html.
type code struct {
	ui.Page
	Code
	Topic string
}

func (m *Manual) code(w http.ResponseWriter, r *http.Request) error {
	c, ok := find(r.PathValue("code"))
	if !ok {
		return m.notice(w, http.StatusNotFound, m.t.Text("missing.title"), m.t.Text("missing.lead"))
	}
	d := code{Page: ui.Page{Title: c.Name}, Code: c, Topic: m.t.Text("topic." + string(c.Topic))}
	return m.t.Render(w, http.StatusOK, "code", &d, ui.Options{})
}

// notice is the data of notice.html.
type notice struct {
	ui.Page
	Message string
}

func (m *Manual) notice(w http.ResponseWriter, status int, title, message string) error {
	d := notice{Page: ui.Page{Title: title}, Message: message}
	return m.t.Render(w, status, "notice", &d, ui.Options{})
}

// writeError is the web.ErrorWriter of the pages.
func (m *Manual) writeError(w http.ResponseWriter, _ *http.Request, f *fault.Error) {
	if err := m.notice(w, f.Kind.Status(), m.t.Text("error.title"), f.Message); err != nil {
		http.Error(w, f.Message, f.Kind.Status())
	}
}

package pages

import (
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strings"

	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/ui"
	"github.com/rephlo/rephlo/internal/web"
)

// Action is a way on from an error.
type Action struct{ Text, URL string }

// Piece is a part of an address that differs, or does not, from another.
type Piece struct {
	Text    string
	Differs bool
}

// Mismatch shows a developer why a redirect URI was refused.
type Mismatch struct {
	Received   []Piece
	Registered []string
	Cause      string
}

type failure struct {
	ui.Page
	Message  string
	Actions  []Action
	Mismatch *Mismatch
}

// Client is where the way back from an error leads; both may be empty.
type Client struct{ Name, Homepage string }

// InteractionDetail is the detail of a fault that names the interaction which its
// page leads back to.
const InteractionDetail = "interaction"

// WriteError is the web.ErrorWriter of pages.
func (s *Screens) WriteError(w http.ResponseWriter, r *http.Request, f *fault.Error) {
	var action Action
	uid := r.PathValue("uid")
	if in, ok := f.Details[InteractionDetail].(string); ok { // of a request whose path does not name it
		uid = in
	}
	if uid != "" && f.Kind != fault.Gone && f.Kind != fault.Invalid {
		action = Action{s.t.Text("error.again"), Interaction{UID: uid}.path("")}
	}
	s.write(w, f, action, nil)
}

// Refuse shows why an authorization request cannot even be answered to its
// client. registered are the redirect URIs of the client when received was
// none of them; they are shown to developers only.
func (s *Screens) Refuse(w http.ResponseWriter, f *fault.Error, c Client, received string, registered []string) {
	var action Action
	if u, err := url.Parse(c.Homepage); err == nil && (u.Scheme == "https" || u.Scheme == "http") {
		action = Action{s.t.Text("error.client", shown(c.Name)), c.Homepage}
	}
	var m *Mismatch
	if s.dev && len(registered) > 0 && received != "" {
		m = s.mismatch(received, registered)
	}
	s.write(w, f, action, m)
}

func (s *Screens) write(w http.ResponseWriter, f *fault.Error, action Action, m *Mismatch) {
	if action.URL == "" {
		action = Action{s.t.Text("error.home", "Rephlo"), s.home}
	}
	d := failure{Page: ui.Page{Title: s.title(f.Kind), Wide: m != nil}, Message: f.Message, Mismatch: m, Actions: []Action{action}}
	if err := s.t.Render(w, f.Kind.Status(), "error", &d, ui.Options{}); err != nil {
		http.Error(w, f.Message, f.Kind.Status())
	}
}

func (s *Screens) title(k fault.Kind) string {
	switch k {
	case fault.Unauthenticated:
		return s.t.Text("error.401")
	case fault.Forbidden:
		return s.t.Text("error.403")
	case fault.NotFound:
		return s.t.Text("error.404")
	case fault.Gone:
		return s.t.Text("error.410")
	case fault.RateLimited:
		return s.t.Text("error.429")
	case fault.Internal:
		return s.t.Text("error.500")
	case fault.Upstream:
		return s.t.Text("error.502")
	case fault.Conflict:
		return s.t.Text("error.409")
	case fault.Unavailable:
		return s.t.Text("error.503")
	default:
		return s.t.Text("error.400")
	}
}

// mismatch compares what was received with the registered address that is most
// like it.
func (s *Screens) mismatch(received string, registered []string) *Mismatch {
	nearest, best := "", -1
	for _, uri := range registered {
		if n := alike(received, uri); n > best {
			nearest, best = uri, n
		}
	}
	return &Mismatch{Received: pieces(received, nearest), Registered: registered, Cause: s.cause(received, nearest)}
}

// alike counts the characters that two addresses begin and end with.
func alike(a, b string) int {
	start, end := 0, 0
	for start < len(a) && start < len(b) && a[start] == b[start] {
		start++
	}
	for end < len(a)-start && end < len(b)-start && a[len(a)-1-end] == b[len(b)-1-end] {
		end++
	}
	return start + end
}

// compared bounds the addresses whose characters are compared one by one.
const compared = 512

// pieces marks where got differs from want; what is missing shows as "…".
func pieces(got, want string) []Piece {
	if len(got) > compared || len(want) > compared {
		return []Piece{{Text: got}}
	}
	var out []Piece
	add := func(text string, differs bool) {
		if n := len(out); n > 0 && out[n-1].Differs == differs {
			out[n-1].Text += text
			return
		}
		out = append(out, Piece{text, differs})
	}
	same := shared(got, want)
	missing := false
	for i, j := 0, 0; i < len(got) || j < len(want); {
		switch {
		case i < len(got) && j < len(want) && got[i] == want[j]:
			add(got[i:i+1], false)
			i, j, missing = i+1, j+1, false
		case j >= len(want) || i < len(got) && same[i+1][j] >= same[i][j+1]:
			add(got[i:i+1], true)
			i++
		default:
			if !missing {
				add("…", true)
			}
			j, missing = j+1, true
		}
	}
	return out
}

// shared returns the lengths of the longest common subsequences of what is left
// of a from i and of b from j.
func shared(a, b string) [][]int {
	n := make([][]int, len(a)+1)
	for i := range n {
		n[i] = make([]int, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				n[i][j] = n[i+1][j+1] + 1
			} else {
				n[i][j] = max(n[i+1][j], n[i][j+1])
			}
		}
	}
	return n
}

func (s *Screens) cause(got, want string) string {
	g, err := url.Parse(got)
	if err != nil {
		return ""
	}
	w, err := url.Parse(want)
	if err != nil {
		return ""
	}
	switch {
	case g.Scheme != w.Scheme:
		return s.t.Text("error.cause.scheme")
	case g.Hostname() != w.Hostname():
		return s.t.Text("error.cause.host")
	case g.Port() != w.Port():
		return s.t.Text("error.cause.port")
	case strings.TrimSuffix(g.Path, "/") == strings.TrimSuffix(w.Path, "/"):
		return s.t.Text("error.cause.slash")
	default:
		return s.t.Text("error.cause.path")
	}
}

// Page returns what a route of a page is registered with.
func (s *Screens) Page() web.Option { return web.All(web.Page(), web.Errors(s.WriteError)) }

// Form returns what a route is registered with that takes a form of a page.
func (s *Screens) Form() []web.Option {
	return []web.Option{s.Page(), web.SameOrigin(), web.Body(64 << 10)}
}

// Shown reports whether err is one that a page shows beside its form, with what
// was typed; it is noted for the log then. Failures of ours have a page of their
// own.
func Shown(w http.ResponseWriter, err error) (*fault.Error, bool) {
	f := fault.From(err)
	if f.Kind == fault.Internal || errors.Is(err, fault.ErrUnavailable) {
		return nil, false
	}
	web.Note(w, slog.String("code", f.Code))
	web.ErrorHeaders(w, f)
	return f, true
}

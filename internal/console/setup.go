package console

import (
	"context"
	"embed"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/rephlo/rephlo/internal/account"
	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/secret"
	"github.com/rephlo/rephlo/internal/ui"
	"github.com/rephlo/rephlo/internal/web"
)

//go:embed templates/*.html texts/en.json
var files embed.FS

// Needs are what a Console is made of.
type Needs struct {
	Accounts *account.Service
	// CreateKey makes the first API key of an administrator and returns its
	// text. It joins the transaction of ctx.
	CreateKey      func(ctx context.Context, userID string) (secret.String, error)
	Name, Version  string
	APIURL, IDPURL string // public addresses, without a slash at the end
	Model          string // one that works without a provider, for the first call
}

// Console serves the pages.
type Console struct {
	Needs
	t     *ui.Templates
	ready atomic.Bool // an administrator exists; that does not end
}

// New parses the templates.
func New(n Needs) (*Console, error) {
	t, err := ui.Parse(files, n.Name)
	if err != nil {
		return nil, err
	}
	return &Console{Needs: n, t: t}, nil
}

// Mount registers the routes.
func (c *Console) Mount(m *web.Mux) {
	page := web.All(web.Page(), web.Errors(c.writeError))
	m.Handle("GET /{$}", c.home, web.Open(), web.Doc("Show what this is and where to go on"), web.Gives(http.StatusOK, "", about{}))
	m.Handle("GET /setup", c.form, page)
	m.Handle("POST /setup", c.setUp, page, web.SameOrigin(), web.Body(64<<10))
}

// about is what home says to programs.
type about struct {
	Name    string            `json:"name"`
	Version string            `json:"version"`
	Links   map[string]string `json:"links"`
}

// home says what this is: to programs in JSON, and to a person with an empty
// instance by leading to the set-up page.
func (c *Console) home(w http.ResponseWriter, r *http.Request) error {
	if strings.Contains(r.Header.Get("Accept"), "text/html") {
		ready, err := c.isReady(r.Context())
		if err != nil {
			return err
		}
		if !ready {
			http.Redirect(w, r, "/setup", http.StatusSeeOther)
			return nil
		}
	}
	w.Header().Add("Vary", "Accept")
	return web.JSON(w, http.StatusOK, about{Name: c.Name, Version: c.Version, Links: map[string]string{
		"identity": c.IDPURL, "health": c.APIURL + "/health", "models": c.APIURL + "/v1/models",
		"chatCompletions": c.APIURL + "/v1/chat/completions", "setup": c.APIURL + "/setup",
		"docs": c.APIURL + "/docs", "openapi": c.APIURL + "/openapi.json",
	}})
}

func (c *Console) isReady(ctx context.Context) (bool, error) {
	if c.ready.Load() {
		return true, nil
	}
	n, err := c.Accounts.Admins(ctx)
	if n > 0 {
		c.ready.Store(true)
	}
	return n > 0, err
}

// setup is the data of setup.html.
type setup struct {
	ui.Page
	Token, Email   string
	Fixed          bool // the token is for this address
	Problem, param string
}

// Wrong returns what is wrong with a field.
func (d setup) Wrong(field string) string {
	if d.param == field {
		return d.Problem
	}
	return ""
}

func (c *Console) form(w http.ResponseWriter, r *http.Request) error {
	token := r.URL.Query().Get("token")
	email, err := c.Accounts.CheckSetup(r.Context(), token)
	if errors.Is(err, account.ErrSetupToken) {
		return c.closed(w, r, token)
	}
	if err != nil {
		return err
	}
	return c.show(w, setup{Token: token, Email: email, Fixed: email != ""}, nil)
}

func (c *Console) show(w http.ResponseWriter, d setup, f *fault.Error) error {
	d.Title = c.t.Text("setup.title", c.Name)
	status := http.StatusOK
	if f != nil {
		status, d.Problem, d.param = f.Kind.Status(), f.Message, f.Param
	}
	return c.t.Render(w, status, "setup", &d, ui.Options{})
}

// notice is a page with a title, a sentence and a way on.
type notice struct {
	ui.Page
	Message, Command, Action, URL string
}

// closed answers without a good token: how to get one, or that it is done.
func (c *Console) closed(w http.ResponseWriter, r *http.Request, token string) error {
	ready, err := c.isReady(r.Context())
	if err != nil {
		return err
	}
	d, status := notice{Command: "rephlo admin create you@example.com"}, http.StatusOK
	switch {
	case ready:
		d.Title, d.Message, d.Command = c.t.Text("setup.done"), c.t.Text("setup.done.lead"), ""
		d.Action, d.URL = c.t.Text("setup.done.button"), c.APIURL+"/"
	case token == "":
		d.Title, d.Message = c.t.Text("setup.missing"), c.t.Text("setup.missing.lead")
	default:
		d.Title, d.Message, status = c.t.Text("setup.invalid"), c.t.Text("setup.invalid.lead"), account.ErrSetupToken.Kind.Status()
	}
	return c.t.Render(w, status, "notice", &d, ui.Options{})
}

// welcome is the data of welcome.html.
type welcome struct {
	ui.Page
	Email, Key, Curl, Env, IDPURL string
}

func (c *Console) setUp(w http.ResponseWriter, r *http.Request) error {
	if err := r.ParseForm(); err != nil {
		return web.Classify(err)
	}
	v := r.PostForm
	var key secret.String
	u, err := c.Accounts.UseSetup(r.Context(), v.Get("token"), v.Get("email"), v.Get("password"), func(ctx context.Context, u account.User) (err error) {
		key, err = c.CreateKey(ctx, u.ID)
		return err
	})
	if errors.Is(err, account.ErrSetupToken) {
		return c.closed(w, r, v.Get("token"))
	}
	if f := fault.From(err); err != nil && f.Kind != fault.Internal && !errors.Is(err, fault.ErrUnavailable) {
		web.Note(w, slog.String("code", f.Code))
		web.ErrorHeaders(w, f)
		fixed, _ := c.Accounts.CheckSetup(r.Context(), v.Get("token")) // it was good a moment ago
		return c.show(w, setup{Token: v.Get("token"), Email: v.Get("email"), Fixed: fixed != ""}, f)
	}
	if err != nil {
		return err
	}
	d := welcome{Page: ui.Page{Title: c.t.Text("welcome.title", c.Name), Wide: true}, Email: u.Email, Key: key.Reveal(), IDPURL: c.IDPURL}
	d.Curl, d.Env = c.curl(d.Key), c.env(d.Key)
	return c.t.Render(w, http.StatusOK, "welcome", &d, ui.Options{Script: true})
}

func (c *Console) curl(key string) string {
	return "curl " + c.APIURL + "/v1/chat/completions \\\n  -H \"Authorization: Bearer " + key + "\" \\\n  -H \"Content-Type: application/json\" \\\n" +
		"  -d '{\"model\": \"" + c.Model + "\", \"messages\": [{\"role\": \"user\", \"content\": \"Hello\"}]}'"
}

func (c *Console) env(key string) string {
	return "export OPENAI_BASE_URL=" + c.APIURL + "/v1\nexport OPENAI_API_KEY=" + key
}

// writeError is the web.ErrorWriter of the pages.
func (c *Console) writeError(w http.ResponseWriter, _ *http.Request, f *fault.Error) {
	d := notice{Page: ui.Page{Title: c.t.Text("error.title")}, Message: f.Message, Action: c.t.Text("error.button"), URL: "/setup"}
	if err := c.t.Render(w, f.Kind.Status(), "notice", &d, ui.Options{}); err != nil {
		http.Error(w, f.Message, f.Kind.Status())
	}
}

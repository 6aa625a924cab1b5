package ui

import (
	"bytes"
	"crypto/rand"
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"regexp"
	"strconv"
	"strings"

	"github.com/rephlo/rephlo/internal/web"
)

//go:embed templates/*.html
var shared embed.FS

// Page is what every page has. Render fills in what is empty.
type Page struct {
	Title     string
	Lang      string
	Instance  string // the name of this installation
	Styles    string // addresses of the assets
	Script    string // empty when the page has none
	Nonce     string
	RequestID string
	// Refresh is an address that the browser goes on to by itself; its scheme is trusted.
	Refresh template.URL
	Wide    bool
	Nav     []Link // to the pages of the same area; empty for a page that stands alone
}

// Link leads to a page; Here says that it is the one shown.
type Link struct {
	Text, URL string
	Here      bool
}

func (p *Page) base() *Page { return p }

// Content is a pointer to a struct that embeds Page.
type Content interface{ base() *Page }

// Templates renders one package's pages. It is safe for concurrent use.
type Templates struct {
	instance string
	pages    map[string]*template.Template
	texts    map[string]string
}

// used finds the keys of texts in a template.
var used = regexp.MustCompile(`\bt "([^"]+)"`)

// Parse reads files: templates/NAME.html for each page NAME, and texts/en.json,
// the texts by key. instance is the name shown in the header.
func Parse(files fs.FS, instance string) (*Templates, error) {
	t := &Templates{instance: instance, pages: map[string]*template.Template{}, texts: map[string]string{}}
	data, err := fs.ReadFile(files, "texts/en.json")
	if err != nil {
		return nil, fmt.Errorf("read texts: %w", err)
	}
	if err := json.Unmarshal(data, &t.texts); err != nil {
		return nil, fmt.Errorf("read texts: %w", err)
	}
	layout, err := template.New("layout").Option("missingkey=error").Funcs(template.FuncMap{"t": t.Text, "field": newField, "marked": marked}).ParseFS(shared, "templates/*.html")
	if err != nil {
		return nil, fmt.Errorf("parse layout: %w", err)
	}
	names, err := fs.Glob(files, "templates/*.html")
	if err != nil {
		return nil, fmt.Errorf("find templates: %w", err)
	}
	for _, name := range names {
		if err := t.parse(files, layout, name); err != nil {
			return nil, fmt.Errorf("parse %s: %w", name, err)
		}
	}
	return t, nil
}

func (t *Templates) parse(files fs.FS, layout *template.Template, name string) error {
	text, err := fs.ReadFile(files, name)
	if err != nil {
		return err
	}
	for _, m := range used.FindAllSubmatch(text, -1) {
		if _, ok := t.texts[string(m[1])]; !ok {
			return fmt.Errorf("there is no text %q", m[1])
		}
	}
	page, err := layout.Clone()
	if err == nil {
		page, err = page.Parse(string(text))
	}
	if err != nil {
		return err
	}
	if page.Lookup("main") == nil {
		return fmt.Errorf(`it does not define "main"`)
	}
	t.pages[strings.TrimSuffix(path.Base(name), ".html")] = page
	return nil
}

// Has reports whether there is a text for key.
func (t *Templates) Has(key string) bool { _, ok := t.texts[key]; return ok }

// Text returns the text for key with args filled in. A key without a text is
// returned itself.
func (t *Templates) Text(key string, args ...any) string {
	text, ok := t.texts[key]
	if !ok {
		return key
	}
	if len(args) == 0 {
		return text
	}
	return fmt.Sprintf(text, args...)
}

// Names lists the pages.
func (t *Templates) Names() []string {
	var out []string
	for name := range t.pages {
		out = append(out, name)
	}
	return out
}

// Options are what differs between pages.
type Options struct {
	// FormAction are further sources that a form may lead to: browsers apply
	// the rule to the redirects that follow a form as well.
	FormAction []string
	// Opener keeps the connection to the window that opened this one.
	Opener bool
	// Script says that the page has the shared script.
	Script bool
}

// Render writes the page called name.
func (t *Templates) Render(w http.ResponseWriter, status int, name string, c Content, o Options) error {
	page, ok := t.pages[name]
	if !ok {
		return fmt.Errorf("there is no page %q", name)
	}
	p := c.base()
	p.Lang, p.Instance, p.Styles, p.RequestID = "en", t.instance, assetPath("app.css"), web.RequestID(w)
	if o.Script {
		p.Nonce, p.Script = rand.Text(), assetPath("app.js")
	}
	var b bytes.Buffer
	if err := page.ExecuteTemplate(&b, "layout", c); err != nil {
		return fmt.Errorf("render %s: %w", name, err)
	}
	headers(w.Header(), p.Nonce, o)
	w.Header().Set("Content-Length", strconv.Itoa(b.Len()))
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // a client that left is not our error
	return nil
}

// headers forbids everything that a page does not need.
func headers(h http.Header, nonce string, o Options) {
	csp := "default-src 'none'; style-src 'self'; img-src 'self' data:; base-uri 'none'; frame-ancestors 'none'; object-src 'none'; form-action " +
		strings.Join(append([]string{"'self'"}, o.FormAction...), " ")
	if nonce != "" {
		csp += "; script-src 'nonce-" + nonce + "'; connect-src 'self'"
	}
	h.Set("Content-Security-Policy", csp)
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Frame-Options", "DENY")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()")
	if !o.Opener {
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
	}
}

var (
	inCode = regexp.MustCompile("`([^`]+)`")
	inBold = regexp.MustCompile(`\*\*([^*]+)\*\*`)
)

// marked shows text in which `code` and **what matters** are marked.
func marked(text string) template.HTML {
	text = inCode.ReplaceAllString(template.HTMLEscapeString(text), "<code>$1</code>")
	return template.HTML(inBold.ReplaceAllString(text, "<b>$1</b>")) //nolint:gosec // it is escaped, and what is added has no attributes
}

// Field is one labelled input of a form.
type Field struct {
	Name, Label, Value, Type, Complete, Hint, Problem string
	ID                                                string // the name, if empty
	Required, Focus, Fixed                            bool
}

// newField builds a Field from pairs of names and values in a template.
func newField(pairs ...any) (Field, error) {
	f := Field{Type: "text", Complete: "off", Required: true}
	texts := map[string]*string{
		"name": &f.Name, "label": &f.Label, "value": &f.Value, "type": &f.Type, "complete": &f.Complete, "hint": &f.Hint, "problem": &f.Problem, "id": &f.ID,
	}
	flags := map[string]*bool{"required": &f.Required, "focus": &f.Focus, "fixed": &f.Fixed}
	for i := 0; i+1 < len(pairs); i += 2 {
		key, _ := pairs[i].(string)
		switch v := pairs[i+1].(type) {
		case string:
			if texts[key] == nil {
				return f, fmt.Errorf("a field has no text %q", key)
			}
			*texts[key] = v
		case bool:
			if flags[key] == nil {
				return f, fmt.Errorf("a field has no flag %q", key)
			}
			*flags[key] = v
		}
	}
	if f.ID == "" {
		f.ID = f.Name
	}
	return f, nil
}

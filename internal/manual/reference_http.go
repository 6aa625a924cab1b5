package manual

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/ui"
	"github.com/rephlo/rephlo/internal/web"
)

const (
	docsPath      = "/docs"
	operationPath = docsPath + "/operations/"
)

// Reference serves the OpenAPI document of a service, and pages made from it.
type Reference struct {
	manual   *Manual
	document func() ([]byte, error)
	read     func() (*contents, error)
}

// contents is the document, read.
type contents struct {
	document
	operations []*operation
}

// NewReference returns the Reference of the service whose document is what the
// function returns; it is asked once, when somebody wants to read.
func NewReference(name string, document func() ([]byte, error)) (*Reference, error) {
	m, err := New(name)
	if err != nil {
		return nil, err
	}
	r := &Reference{manual: m, document: sync.OnceValues(document)}
	r.read = sync.OnceValues(func() (*contents, error) {
		data, err := r.document()
		if err != nil {
			return nil, err
		}
		d, all, err := parse(data)
		if err != nil {
			return nil, err
		}
		return &contents{*d, all}, nil
	})
	return r, nil
}

// Mount registers the routes.
func (r *Reference) Mount(m *web.Mux) {
	page := web.All(web.Page(), web.Errors(r.manual.writeError))
	m.Handle("GET /openapi.json", r.raw, web.Public(), web.AnyOrigin(), web.Doc("Get this description"), web.Gives(http.StatusOK, "", map[string]any{}))
	m.Handle("GET /llms.txt", r.index, web.Public(), web.AnyOrigin(), web.Doc("Get an index of the documentation for programs"), web.Gives(http.StatusOK, "text/plain", nil))
	m.Handle("GET "+docsPath, r.overview, page)
	m.Handle("GET "+operationPath+"{operation}", r.operation, page)
}

func (r *Reference) raw(w http.ResponseWriter, _ *http.Request) error {
	data, err := r.document()
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(data) // a client that left is not our error
	return nil
}

// index is llms.txt: what there is, and where.
func (r *Reference) index(w http.ResponseWriter, _ *http.Request) error {
	c, err := r.read()
	if err != nil {
		return err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n\n> %s\n\n- [OpenAPI description](/openapi.json)\n- [Reference](%s)\n- [Error codes](%s)\n", c.Info.Title, strings.SplitN(c.Info.Description, "\n", 2)[0], docsPath, Path)
	for _, g := range c.groups("") {
		fmt.Fprintf(&b, "\n## %s\n\n", g.Title)
		for _, op := range g.Operations {
			fmt.Fprintf(&b, "- [%s %s](%s%s): %s\n", op.Method, op.Path, operationPath, op.ID, op.Summary)
		}
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte(b.String())) // as above
	return nil
}

type operations struct {
	Title      string
	Operations []*operation
}

// groups lists the operations that have the words of query, by tag; those of
// administrators come last.
func (c *contents) groups(query string) []operations {
	var out []operations
	for _, op := range c.operations {
		text := strings.ToLower(strings.Join([]string{op.Method, op.Path, op.Summary, op.Permission, op.Tags[0]}, " "))
		if slices.ContainsFunc(strings.Fields(strings.ToLower(query)), func(word string) bool { return !strings.Contains(text, word) }) {
			continue
		}
		i := slices.IndexFunc(out, func(g operations) bool { return g.Title == op.Tags[0] })
		if i < 0 {
			i = len(out)
			out = append(out, operations{Title: op.Tags[0]})
		}
		out[i].Operations = append(out[i].Operations, op)
	}
	admin := func(g operations) int {
		if strings.HasPrefix(g.Title, "Admin") {
			return 1
		}
		return 0
	}
	slices.SortFunc(out, func(a, b operations) int { return cmp.Or(admin(a)-admin(b), cmp.Compare(a.Title, b.Title)) })
	return out
}

// overview is the data of reference.html.
type overview struct {
	ui.Page
	Query  string
	Intro  []string
	Groups []operations
}

func (r *Reference) overview(w http.ResponseWriter, req *http.Request) error {
	c, err := r.read()
	if err != nil {
		return err
	}
	query := req.URL.Query().Get("q")
	d := overview{Page: ui.Page{Title: c.Info.Title, Wide: true}, Query: query[:min(len(query), 100)]}
	if query == "" {
		d.Intro = strings.Split(c.Info.Description, "\n\n")
	}
	d.Groups = c.groups(d.Query)
	return r.manual.t.Render(w, http.StatusOK, "reference", &d, ui.Options{})
}

// shownOperation is the data of operation.html.
type shownOperation struct {
	ui.Page
	*operation
	Details []string
	Access  []string
	Inputs  []placed
	Takes   []shownBody
	Gives   []shownBody
	Example string
}

// placed is a parameter and where it is.
type placed struct {
	field
	In string
}

type shownBody struct {
	Status, What, Media string
	Fields              []field
}

func (r *Reference) operation(w http.ResponseWriter, req *http.Request) error {
	c, err := r.read()
	if err != nil {
		return err
	}
	i := slices.IndexFunc(c.operations, func(op *operation) bool { return op.ID == req.PathValue("operation") })
	if i < 0 {
		return fault.ErrNotFound
	}
	op := c.operations[i]
	d := shownOperation{Page: ui.Page{Title: op.Summary, Wide: true}, operation: op, Access: r.access(op), Example: c.example(op)}
	if op.Description != "" {
		d.Details = strings.Split(op.Description, "\n\n")
	}
	for _, p := range op.Parameters {
		f := c.line(p.Name, p.Schema, p.Required)
		f.Doc = cmp.Or(p.Description, f.Doc)
		d.Inputs = append(d.Inputs, placed{f, p.In})
	}
	if op.Body != nil {
		d.Takes = c.bodies("", op.Body)
	}
	for _, status := range sortedKeys(op.Responses) {
		d.Gives = append(d.Gives, c.bodies(status, op.Responses[status])...)
	}
	return r.manual.t.Render(w, http.StatusOK, "operation", &d, ui.Options{})
}

// access says in words what a caller must have.
func (r *Reference) access(op *operation) []string {
	var out []string
	for _, one := range op.Security {
		for _, name := range sortedKeys(one) {
			text := r.manual.t.Text("scheme." + name)
			if scopes := one[name]; len(scopes) > 0 {
				text += " " + r.manual.t.Text("scheme.scopes", strings.Join(scopes, ", "))
			}
			out = append(out, text)
		}
	}
	if len(out) == 0 {
		out = []string{r.manual.t.Text("scheme.none")}
	}
	return out
}

// bodies shows b in each of its media types.
func (c *contents) bodies(status string, b *body) []shownBody {
	if len(b.Content) == 0 {
		return []shownBody{{Status: status, What: b.Description}}
	}
	var out []shownBody
	for _, media := range sortedKeys(b.Content) {
		out = append(out, shownBody{Status: status, What: b.Description, Media: media, Fields: c.fields(b.Content[media].Schema, "", 0)})
	}
	return out
}

// example is a call with what is required.
func (c *contents) example(op *operation) string {
	var b bytes.Buffer
	b.WriteString("curl")
	if op.Method != http.MethodGet {
		b.WriteString(" -X " + op.Method)
	}
	b.WriteString(` "$REPHLO_URL` + op.Path + `"`)
	line := func(format string, args ...any) { fmt.Fprintf(&b, " \\\n  "+format, args...) }
	if len(op.Security) > 0 && len(op.Security[0]) > 0 {
		if _, basic := op.Security[0][web.SchemeBasic]; basic {
			line(`-u "$CLIENT_ID:$CLIENT_SECRET"`)
		} else {
			line(`-H "Authorization: Bearer $TOKEN"`)
		}
	}
	for _, p := range op.Parameters {
		if p.In == "header" && p.Required {
			line(`-H "%s: …"`, p.Name)
		}
	}
	if op.Body == nil {
		return b.String()
	}
	for _, media := range sortedKeys(op.Body.Content) {
		sample, _ := c.sample(op.Body.Content[media].Schema, 0).(map[string]any) // else nothing is sent
		flag := "-d"
		switch media {
		case "application/json":
			text, err := json.Marshal(sample)
			if err == nil {
				line("-H 'Content-Type: application/json' -d '%s'", text)
			}
			return b.String()
		case "multipart/form-data":
			flag = "-F"
		}
		for _, name := range sortedKeys(sample) {
			line("%s '%s=%v'", flag, name, sample[name])
		}
	}
	return b.String()
}

package e2e

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// Page is an HTML page as a person sees it: its text, its forms, its links.
type Page struct {
	Status int
	URL    *url.URL
	Text   string
	Links  []string
	Forms  []Form
}

// Form is a form of a page. Buttons map what is written on them to what
// pressing them sends.
type Form struct {
	Method, Action string
	Values         url.Values
	Required       []string
	Buttons        map[string]Button
}

// Button is what pressing it sends; without a name it sends nothing.
type Button struct{ Name, Value string }

// readPage parses an answer.
func readPage(t testing.TB, res *http.Response) *Page {
	t.Helper()
	defer res.Body.Close()
	doc, err := html.Parse(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		t.Fatal(err)
	}
	p := &Page{Status: res.StatusCode, URL: res.Request.URL}
	p.walk(doc, nil)
	p.Text = strings.Join(strings.Fields(p.Text), " ")
	return p
}

func attr(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func has(n *html.Node, name string) bool {
	for _, a := range n.Attr {
		if a.Key == name {
			return true
		}
	}
	return false
}

func (p *Page) walk(n *html.Node, form *Form) {
	if n.Type == html.TextNode {
		p.Text += n.Data + " "
	}
	if n.Type == html.ElementNode {
		switch n.Data {
		case "style", "script":
			return
		case "a":
			p.Links = append(p.Links, attr(n, "href"))
		case "form":
			f := Form{Method: strings.ToUpper(attr(n, "method")), Action: attr(n, "action"), Values: url.Values{}, Buttons: map[string]Button{}}
			for c := range n.ChildNodes() {
				p.walk(c, &f)
			}
			p.Forms = append(p.Forms, f)
			return
		case "input", "button":
			form.add(n)
		}
	}
	for c := range n.ChildNodes() {
		p.walk(c, form)
	}
}

func (f *Form) add(n *html.Node) {
	if f == nil {
		return
	}
	name := attr(n, "name")
	switch kind := attr(n, "type"); {
	case n.Data == "button" || kind == "submit":
		f.Buttons[text(n)] = Button{name, attr(n, "value")}
	case kind == "checkbox":
		if has(n, "required") { // a person ticks it
			f.Values.Set(name, attr(n, "value"))
		}
	case name != "":
		f.Values.Set(name, attr(n, "value"))
		if has(n, "required") {
			f.Required = append(f.Required, name)
		}
	}
}

func text(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			b.WriteString(d.Data)
		}
	}
	return strings.TrimSpace(b.String())
}

// Form returns the page's form that has all these fields.
func (p *Page) Form(fields ...string) (Form, error) {
	for _, f := range p.Forms {
		all := true
		for _, name := range fields {
			all = all && f.Values.Has(name)
		}
		if all {
			return f, nil
		}
	}
	return Form{}, fmt.Errorf("no form with %v on %s (%d): %s", fields, p.URL, p.Status, p.Text)
}

// Choice returns the page's form that has a button which sends this.
func (p *Page) Choice(name, value string) (Form, bool) {
	for _, f := range p.Forms {
		for _, b := range f.Buttons {
			if b.Name == name && b.Value == value {
				f.Values.Set(name, value)
				return f, true
			}
		}
	}
	return Form{}, false
}

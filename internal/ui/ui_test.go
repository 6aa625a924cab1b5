package ui_test

import (
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/rephlo/rephlo/internal/ui"
	"github.com/rephlo/rephlo/internal/web"
)

func file(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }

// A broken page stops the start, not the visitor.
func TestParseFindsMistakes(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ page, texts, want string }{
		"good":         {`{{define "main"}}<h1>{{t "a" 1}}</h1>{{end}}`, `{"a":"x %d"}`, ""},
		"syntax":       {`{{define "main"}}{{if}}{{end}}`, `{}`, "missing value"},
		"no main":      {`hello`, `{}`, `does not define "main"`},
		"no text":      {`{{define "main"}}{{t "b"}}{{end}}`, `{"a":""}`, `there is no text "b"`},
		"broken texts": {`{{define "main"}}{{end}}`, `{`, "read texts"},
	} {
		_, err := ui.Parse(fstest.MapFS{"templates/p.html": file(tt.page), "texts/en.json": file(tt.texts)}, "Test")
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
}

type broken struct {
	ui.Page
}

func TestNoHalfPages(t *testing.T) {
	t.Parallel()
	s, err := ui.Parse(fstest.MapFS{
		"templates/p.html": file(`{{define "main"}}<h1>begin</h1>{{index .Title 99}}{{end}}`), "texts/en.json": file(`{}`),
	}, "Test")
	if err != nil {
		t.Fatal(err)
	}
	rec := httptest.NewRecorder()
	if err := s.Render(rec, 200, "p", &broken{}, ui.Options{}); err == nil || rec.Body.Len() != 0 {
		t.Errorf("got %v and %q, want an error and nothing sent", err, rec.Body)
	}
	if err := s.Render(rec, 200, "other", &broken{}, ui.Options{}); err == nil {
		t.Error("a page that is not there was shown")
	}
}

func TestAssetsAreKeptForEver(t *testing.T) {
	t.Parallel()
	s, err := ui.Parse(fstest.MapFS{"templates/p.html": file(`{{define "main"}}<h1>x</h1>{{end}}`), "texts/en.json": file(`{}`)}, "Test")
	if err != nil {
		t.Fatal(err)
	}
	page := httptest.NewRecorder()
	if err := s.Render(page, 200, "p", &broken{}, ui.Options{Script: true}); err != nil {
		t.Fatal(err)
	}
	m := web.NewMux(web.Config{})
	ui.Assets{}.Mount(m)
	paths := regexp.MustCompile(`"(/assets/[^"]+)"`).FindAllStringSubmatch(page.Body.String(), -1)
	if len(paths) != 2 {
		t.Fatalf("the page has the assets %v, want two", paths)
	}
	for _, path := range paths {
		rec := httptest.NewRecorder()
		m.ServeHTTP(rec, httptest.NewRequest("GET", path[1], nil))
		if rec.Code != 200 || !strings.Contains(rec.Header().Get("Cache-Control"), "immutable") || rec.Body.Len() > 30<<10 || rec.Body.Len() == 0 {
			t.Errorf("%s: %d, %v, %d bytes", path[1], rec.Code, rec.Header(), rec.Body.Len())
		}
	}
	for _, path := range []string{"/assets/0000/app.css", "/assets/x/..%2f..%2fui.go"} {
		rec := httptest.NewRecorder()
		m.ServeHTTP(rec, httptest.NewRequest("GET", path, nil))
		if rec.Code != 404 {
			t.Errorf("%s: %d, want 404", path, rec.Code)
		}
	}
}

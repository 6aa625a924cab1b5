package manual_test

import (
	"cmp"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/manual"
	"github.com/rephlo/rephlo/internal/web"
)

var update = flag.Bool("update", false, "rewrite docs/errors.md and the documents in api")

// kinds are the names of package fault's constants.
var kinds = map[string]fault.Kind{
	"Internal": fault.Internal, "Invalid": fault.Invalid, "Unauthenticated": fault.Unauthenticated, "PaymentRequired": fault.PaymentRequired,
	"Forbidden": fault.Forbidden, "NotFound": fault.NotFound, "MethodNotAllowed": fault.MethodNotAllowed, "Conflict": fault.Conflict,
	"Gone": fault.Gone, "TooLarge": fault.TooLarge, "URITooLong": fault.URITooLong, "UnsupportedMedia": fault.UnsupportedMedia,
	"WrongHost": fault.WrongHost, "Unprocessable": fault.Unprocessable, "RateLimited": fault.RateLimited, "HeadersTooLarge": fault.HeadersTooLarge,
	"Upstream": fault.Upstream, "Unavailable": fault.Unavailable, "UpstreamTimeout": fault.UpstreamTimeout,
	"PreconditionFailed": fault.PreconditionFailed,
}

// declared reads the calls of fault.New in one file: the statuses by code.
func declared(file *ast.File, found map[string][]int) (problems []string) {
	inFault := file.Name.Name == "fault"
	ast.Inspect(file, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok || !isNew(call.Fun, inFault) || len(call.Args) != 3 {
			return true
		}
		name := ""
		switch kind := call.Args[0].(type) {
		case *ast.SelectorExpr:
			name = kind.Sel.Name
		case *ast.Ident:
			name = kind.Name
		}
		kind, known := kinds[name]
		literal, isLiteral := call.Args[1].(*ast.BasicLit)
		if !known || !isLiteral {
			problems = append(problems, "fault.New with a kind or code that is not written out; nobody could document it")
			return true
		}
		code, _ := strconv.Unquote(literal.Value) // the parser accepted it
		if status := kind.Status(); !slices.Contains(found[code], status) {
			found[code] = append(found[code], status)
		}
		return true
	})
	return problems
}

// isNew reports whether f is fault.New, which is New in package fault itself.
func isNew(f ast.Expr, inFault bool) bool {
	switch f := f.(type) {
	case *ast.SelectorExpr:
		pkg, ok := f.X.(*ast.Ident)
		return ok && pkg.Name == "fault" && f.Sel.Name == "New"
	case *ast.Ident:
		return inFault && f.Name == "New"
	}
	return false
}

func TestEveryCodeIsExplained(t *testing.T) {
	t.Parallel()
	found := map[string][]int{}
	err := filepath.WalkDir("..", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, problem := range declared(file, found) {
			t.Errorf("%s: %s", path, problem)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) < 50 {
		t.Fatalf("only %d codes were found in the source", len(found))
	}
	explained := map[string][]int{}
	for _, c := range manual.Codes {
		if _, twice := explained[c.Name]; twice {
			t.Errorf("%s is in the table twice", c.Name)
		}
		explained[c.Name] = c.Statuses
	}
	for _, name := range slices.Sorted(maps.Keys(found)) {
		slices.Sort(found[name])
		if _, ok := explained[name]; !ok {
			t.Errorf("%s (%v) is not in the table; explain it in codes.go", name, found[name])
		} else if diff := gocmp.Diff(found[name], explained[name]); diff != "" {
			t.Errorf("%s has other statuses in the source (-) than in the table (+):\n%s", name, diff)
		}
	}
	for name := range explained {
		if found[name] == nil {
			t.Errorf("%s is explained, but nothing produces it", name)
		}
	}
}

func TestScannerSeesWhatItMust(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]string{
		`package a; var e = fault.New(fault.Gone, "x", "")`:                 "map[x:[410]] 0",
		`package a; var e = fault.New(fault.Gone, "x", "").Final().At("y")`: "map[x:[410]] 0",
		`package fault; var e = New(Invalid, "x", "")`:                      "map[x:[400]] 0",
		`package a; var e = New(Invalid, "x", "")`:                          "map[] 0",
		`package a; var e = fault.New(fault.Gone, code, "")`:                "map[] 1",
	} {
		file, err := parser.ParseFile(token.NewFileSet(), "a.go", source, 0)
		if err != nil {
			t.Fatal(err)
		}
		found := map[string][]int{}
		problems := declared(file, found)
		if got := fmt.Sprint(found, len(problems)); got != want {
			t.Errorf("%s: got %s, want %s", source, got, want)
		}
	}
}

// The texts are short, plain and say what to do.
func TestTextsAreWhole(t *testing.T) {
	t.Parallel()
	for _, c := range manual.Codes {
		for _, text := range []string{c.Means, c.Do} {
			if len(text) < 10 || len(text) > 300 || !strings.HasSuffix(text, ".") || strings.ContainsAny(text, "|\n") {
				t.Errorf("%s: %q is not one to three whole sentences", c.Name, text)
			}
		}
	}
	if !slices.IsSortedFunc(manual.Codes, func(a, b manual.Code) int {
		if a.Topic != b.Topic {
			return 0 // the topics have an order of their own
		}
		return cmp.Compare(a.Name, b.Name)
	}) {
		t.Error("the codes of a topic are not in alphabetical order")
	}
}

func TestReferenceIsCurrent(t *testing.T) {
	t.Parallel()
	const path = "../../docs/errors.md"
	var b strings.Builder
	b.WriteString("# Error codes\n\nEvery error answer carries a code that never changes its meaning, and the address of its explanation on the instance itself:\n" +
		"`" + manual.Path + "/CODE` on the Resource API.\n\nThis page is generated from the source; `go test ./internal/manual -update` renews it.\n\n" +
		"| Code | HTTP | What it means | What to do |\n|---|---|---|---|\n")
	for _, c := range manual.Codes {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", c.Name, strings.Trim(strings.ReplaceAll(fmt.Sprint(c.Statuses), " ", ", "), "[]"), c.Means, c.Do)
	}
	if *update {
		if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil || string(got) != b.String() {
		t.Errorf("%s is stale (%v); run go test ./internal/manual -update", path, err)
	}
}

func get(t *testing.T, path string) *httptest.ResponseRecorder {
	t.Helper()
	pages, err := manual.New("Acme")
	if err != nil {
		t.Fatal(err)
	}
	m := web.NewMux(web.Config{})
	pages.Mount(m)
	rec := httptest.NewRecorder()
	m.ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
	if strings.Count(rec.Body.String(), "<h1") != 1 || strings.Contains(rec.Body.String(), "topic.") {
		t.Errorf("%s: want one h1 and no key of a text: %s", path, rec.Body)
	}
	if csp := rec.Header().Get("Content-Security-Policy"); !strings.HasPrefix(csp, "default-src 'none'; style-src 'self'") || strings.Contains(csp, "script-src") {
		t.Errorf("%s: policy %q", path, csp)
	}
	return rec
}

func TestTheListLeadsToEveryCode(t *testing.T) {
	t.Parallel()
	body := get(t, manual.Path).Body.String()
	for _, c := range manual.Codes {
		if !strings.Contains(body, `href="/docs/errors/`+c.Name+`"`) {
			t.Errorf("%s is not on the list", c.Name)
		}
	}
	if size := len(body); size > 60<<10 {
		t.Errorf("the list has %d bytes, want at most 60 KiB", size)
	}
}

func TestPageOfACode(t *testing.T) {
	t.Parallel()
	for _, c := range manual.Codes {
		rec := get(t, manual.Path+"/"+c.Name)
		body := rec.Body.String()
		if rec.Code != http.StatusOK || !strings.Contains(body, "<h1><code>"+c.Name+"</code></h1>") || !strings.Contains(body, fmt.Sprintf("<dd>%d</dd>", c.Statuses[0])) {
			t.Errorf("%s: %d %s", c.Name, rec.Code, body)
		}
	}
}

func TestAnUnknownCodeIsNotShownBack(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/nonsense", "/Invalid_Request", "/%3Cscript%3E"} {
		rec := get(t, manual.Path+path)
		body := rec.Body.String()
		if rec.Code != http.StatusNotFound || !strings.Contains(body, "There is no such error code") || strings.Contains(body, "<script") || !strings.Contains(body, `href="/docs/errors"`) {
			t.Errorf("%s: %d %s", path, rec.Code, body)
		}
	}
}

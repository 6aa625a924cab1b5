package archtest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/rephlo/rephlo/"

// source is a Go file that is not a test.
type source struct {
	pkg, name string // e.g. "sqldb/dbtest", "dbtest.go"
	text      string
	file      *ast.File
}

func parse(file, text string) (source, error) {
	f, err := parser.ParseFile(token.NewFileSet(), file, text, parser.ImportsOnly|parser.ParseComments)
	return source{pkg: path.Dir(file), name: path.Base(file), text: text, file: f}, err
}

func TestArchitecture(t *testing.T) {
	root := os.DirFS("..")
	documented := map[string]bool{}
	err := fs.WalkDir(root, ".", func(file string, _ fs.DirEntry, err error) error {
		if err != nil || path.Ext(file) != ".go" || strings.HasSuffix(file, "_test.go") {
			return err
		}
		text, err := fs.ReadFile(root, file)
		if err != nil {
			return err
		}
		s, err := parse(file, string(text))
		if err != nil {
			return err
		}
		documented[s.pkg] = documented[s.pkg] || s.file.Doc != nil
		for _, problem := range problems(s) {
			t.Errorf("%s: %s", file, problem)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for pkg := range Rules {
		if _, ok := documented[pkg]; !ok {
			t.Errorf("package %s has a rule but does not exist; remove its line", pkg)
		}
	}
	for pkg, ok := range documented {
		if !ok {
			t.Errorf("package %s has no package comment; say what it is for in doc.go", pkg)
		}
	}
}

// problems returns what is wrong with s, each with its remedy.
func problems(s source) []string {
	further, ok := Rules[s.pkg]
	if !ok {
		return []string{fmt.Sprintf("package %s is not in archtest.Rules; decide where it belongs", s.pkg)}
	}
	var out []string
	report := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	domain := !slices.Contains(Kernel, s.pkg) && !slices.Contains(Platform, s.pkg) && s.pkg != "sqldb/dbtest/withpg"
	allowed := further
	if domain {
		allowed = slices.Concat(further, Kernel, Platform, []string{"access", "audit"})
	}
	for _, spec := range s.file.Imports {
		imp, _ := strconv.Unquote(spec.Path.Value) // the parser accepted it
		if rest, ok := strings.CutPrefix(imp, ours); ok && !covers(allowed, rest) {
			report("package %s may not import %s", s.pkg, rest)
		}
		if files, ok := Files[imp]; ok && domain && !matches(files, s.name) && (imp == "database/sql" || !covers(HTTPFree, s.pkg)) {
			report("only %v of a slice may import %s", files, imp)
		}
		if host, _, _ := strings.Cut(imp, "/"); strings.Contains(host, ".") && !strings.HasPrefix(imp, module) && !mayImport(s.pkg, imp) {
			report("package %s may not import %s; see archtest.Outside", s.pkg, imp)
		}
	}
	if n := strings.Count(s.text, "\n"); n > MaxLines {
		report("%d lines; split it by what it is about (limit %d)", n, MaxLines)
	}
	if domain {
		for _, m := range tableRef.FindAllStringSubmatch(s.text, -1) {
			if m[1] != path.Base(s.pkg) {
				report("%q is a table of package %s; ask its Service", m[0], m[1])
			}
		}
	}
	return out
}

// tableRef finds the tables that SQL names. A table's prefix is its package.
var tableRef = regexp.MustCompile(`(?:FROM|JOIN|INTO|UPDATE)\s+([a-z]+)_[a-z_]+`)

func covers(allowed []string, pkg string) bool {
	return slices.ContainsFunc(allowed, func(a string) bool {
		below, ok := strings.CutSuffix(a, "...")
		return a == pkg || ok && (pkg+"/" == below || strings.HasPrefix(pkg, below))
	})
}

func mayImport(pkg, imp string) bool {
	for mod, pkgs := range Outside {
		if imp == mod || strings.HasPrefix(imp, mod+"/") {
			return covers(pkgs, pkg)
		}
	}
	return false
}

func matches(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		ok, _ := path.Match(p, name)
		return ok
	})
}

func TestProblems(t *testing.T) {
	for _, tt := range []struct{ file, body, want string }{
		{"credit/service.go", ``, ``},
		{"util/util.go", ``, `not in archtest.Rules`},
		{"account/service.go", `import _ "` + ours + `credit"`, `account may not import credit`},
		{"gateway/service.go", `import _ "` + ours + `llm/relay"`, ``},
		{"fault/fault.go", `import _ "` + ours + `web"`, `fault may not import web`},
		{"credit/credit.go", `import _ "net/http"`, `may import net/http`},
		{"credit/service.go", `import _ "database/sql"`, `may import database/sql`},
		{"credit/store.go", `import _ "github.com/jackc/pgx/v5/stdlib"`, `archtest.Outside`},
		{"credit/store.go", "const q = `SELECT id FROM billing_invoice`", `table of package billing`},
		{"credit/long.go", strings.Repeat("\n", MaxLines+1), `split it`},
	} {
		s, err := parse(tt.file, "package p\n"+tt.body)
		if err != nil {
			t.Fatal(err)
		}
		got := strings.Join(problems(s), "; ")
		if !strings.Contains(got, tt.want) || tt.want == "" && got != "" {
			t.Errorf("%s: %q reports %q, want %q", tt.file, strings.TrimSpace(tt.body), got, tt.want)
		}
	}
}

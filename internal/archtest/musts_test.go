package archtest_test

import (
	"encoding/csv"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

// Every rule of the OAuth and OpenID documents that the list names has a test
// that tries to break it: the test is there, and the case in it, if one is
// named.
func TestEveryRuleOfOAuthNamesATest(t *testing.T) {
	t.Parallel()
	f, err := os.Open("../../docs/security/oauth-musts.csv")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	cases := map[string]map[string]map[string]bool{} // by package and test
	for i, row := range rows {
		if i == 0 {
			continue
		}
		document, section, rule, pkg, test, name := row[0], row[1], row[2], row[3], row[4], row[5]
		if cases[pkg] == nil {
			cases[pkg] = testsOf(t, pkg)
		}
		said, ok := cases[pkg][test]
		switch {
		case document == "" || section == "" || rule == "":
			t.Errorf("row %d says of no rule what it is", i+1)
		case !ok:
			t.Errorf("%s %s, %q: there is no %s in identity/%s", document, section, rule, test, pkg)
		case name != "" && !said[name]:
			t.Errorf("%s %s, %q: %s has no case %q", document, section, rule, test, name)
		}
	}
	if len(rows) < 70 {
		t.Errorf("the list has %d rules only", len(rows)-1)
	}
}

// testsOf returns the tests of a package of the Identity Provider, with the
// texts that each has in it.
func testsOf(t *testing.T, pkg string) map[string]map[string]bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("../identity", pkg, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]map[string]bool{}
	for _, file := range files {
		tree, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range tree.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil {
				out[fn.Name.Name] = textsIn(fn)
			}
		}
	}
	return out
}

func textsIn(fn *ast.FuncDecl) map[string]bool {
	out := map[string]bool{}
	ast.Inspect(fn, func(n ast.Node) bool {
		if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			if text, err := strconv.Unquote(lit.Value); err == nil {
				out[text] = true
			}
		}
		return true
	})
	return out
}

package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite docs/ledger-tests.md")

const root = "../../.."

// The page shows what the tables say.
func TestThePageIsInStep(t *testing.T) {
	t.Parallel()
	path := filepath.Join(root, "docs/ledger-tests.md")
	want := page()
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != want {
		t.Errorf("docs/ledger-tests.md is out of step (%v): run make generate", err)
	}
}

func page() string {
	var b strings.Builder
	b.WriteString("# Which test proves what of the ledger\n\nGenerated from `internal/credit/mutants` by `make generate`.\n\n" +
		"## The endings of a hold\n\n| # | Ending | Tests |\n|---|---|---|\n")
	for i, p := range endings {
		fmt.Fprintf(&b, "| %d | %s | %s |\n", i+1, p.what, names(p.tests))
	}
	b.WriteString("\n## Failures\n\n| Failure | Tests |\n|---|---|\n")
	for _, p := range failures {
		fmt.Fprintf(&b, "| %s | %s |\n", p.what, names(p.tests))
	}
	b.WriteString("\n## Mutants\n\n`make mutants` breaks each of these guards in turn; the test beside it must fail.\n\n| Mutant | Killed by |\n|---|---|\n")
	for _, m := range mutants {
		fmt.Fprintf(&b, "| %s | `%s` |\n", m.what, strings.Split(m.test, "/")[0])
	}
	return b.String()
}

func names(tests []string) string {
	var out []string
	for _, test := range tests {
		out = append(out, "`"+test[strings.LastIndex(test, ".")+1:]+"`")
	}
	return strings.Join(out, ", ")
}

// Each mutant can be made, each is described once, and there are enough.
func TestEveryMutantCanBeMade(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, m := range mutants {
		text, err := os.ReadFile(filepath.Join(root, m.file))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := m.apply(text); err != nil {
			t.Error(err)
		}
		if seen[m.what] || m.old == m.with {
			t.Errorf("%s: twice, or no change", m.what)
		}
		seen[m.what] = true
	}
	if len(mutants) < 30 {
		t.Errorf("%d mutants, want 30", len(mutants))
	}
}

// Each test that is named exists.
func TestEveryTestExists(t *testing.T) {
	t.Parallel()
	have := map[string]bool{}
	tests := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	for _, dir := range []string{"e2e", ledger, gate, "internal/money"} {
		files, err := filepath.Glob(filepath.Join(root, dir, "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range tests.FindAllStringSubmatch(string(text), -1) {
				have[dir+"."+m[1]] = true
			}
		}
	}
	for _, m := range mutants {
		if name := m.pkg + "." + strings.Split(m.test, "/")[0]; !have[name] {
			t.Errorf("there is no %s", name)
		}
	}
	for _, p := range append(endings, failures...) {
		for _, test := range p.tests {
			if !have[test] {
				t.Errorf("%s: there is no %s", p.what, test)
			}
		}
	}
}

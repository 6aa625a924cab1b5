package archtest

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite docs/architecture.md")

// The package table of the documentation is this package's table.
func TestDocumentationShowsTheRules(t *testing.T) {
	const path, from, to = "../../docs/architecture.md", "<!-- packages -->\n", "<!-- /packages -->"
	old, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok1 := strings.Cut(string(old), from)
	_, tail, ok2 := strings.Cut(rest, to)
	if !ok1 || !ok2 {
		t.Fatalf("%s lacks its markers", path)
	}
	text := head + from + table() + to + tail
	if text == string(old) {
		return
	}
	if !*update {
		t.Fatalf("%s is stale; run make generate", path)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func table() string {
	var b strings.Builder
	fmt.Fprintf(&b, "| Package | May also import |\n|---|---|\n| kernel: %s | |\n| platform: %s | kernel |\n", code(Kernel), code(Platform))
	for _, pkg := range slices.Sorted(maps.Keys(Rules)) {
		if slices.Contains(Kernel, pkg) || slices.Contains(Platform, pkg) {
			continue
		}
		fmt.Fprintf(&b, "| `%s` | %s |\n", pkg, code(Rules[pkg]))
	}
	return b.String()
}

func code(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return "`" + strings.Join(names, "` `") + "`"
}

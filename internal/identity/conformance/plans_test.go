package conformance_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
)

var update = flag.Bool("update", false, "rewrite docs/conformance.md")

// module is one test of a certification plan, by its name there.
type module struct {
	name string
	test func(w *world)
	// why says why there is no test, or what is asserted instead of what the
	// module does.
	why string
}

// plan is a certification plan.
type plan struct {
	name    string
	modules []module
}

func plans() []plan {
	return []plan{
		{"Basic OP and Config OP", basicPlan()},
		{"Form Post OP", formPostPlan()},
		{"Dynamic OP", dynamicPlan()},
		{"RP-initiated logout", logoutPlan()},
		{"Back-channel logout", backchannelPlan()},
		{"FAPI 2.0 Security Profile", fapiPlan()},
	}
}

// The modules of a plan run one after another against one installation, as in
// the certification suite.
func TestPlans(t *testing.T) {
	t.Parallel()
	for _, p := range plans() {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			dbtest.RunURL(t, func(t *testing.T, database string) {
				w := newWorld(t, database)
				for _, m := range p.modules {
					if m.test == nil {
						continue
					}
					t.Run(m.name, func(t *testing.T) {
						m.test(w.in(t))
					})
					w.advance(61 * time.Second) // past the limits on failures
				}
			})
		})
	}
}

// in is w for a part of a test.
func (w *world) in(t *testing.T) *world {
	c := *w
	c.t = t
	c.browser = &browser{w: &c, Client: w.browser.Client}
	return &c
}

const table = "../../../docs/conformance.md"

// TestTheTableIsComplete keeps docs/conformance.md.
func TestTheTableIsComplete(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString("# Conformance\n\nThe modules of the OpenID Foundation's certification suite, written as tests from the specifications that they cite\n" +
		"(`internal/identity/conformance`). A module that passes runs on SQLite and on PostgreSQL in every submission.\n\n" +
		"This page is generated; `go test ./internal/identity/conformance -run Table -update` renews it.\n")
	for _, p := range plans() {
		passed := 0
		for _, m := range p.modules {
			if m.test != nil {
				passed++
			}
		}
		fmt.Fprintf(&b, "\n## %s\n\n%d of %d modules pass.\n\n| Module | Result | Remark |\n|---|---|---|\n", p.name, passed, len(p.modules))
		seen := map[string]bool{}
		for _, m := range p.modules {
			result := "passes"
			if m.test == nil {
				result = "no"
			}
			if seen[m.name] || m.test == nil && m.why == "" {
				t.Errorf("%s of %s is doubled, or has neither a test nor a reason", m.name, p.name)
			}
			seen[m.name] = true
			fmt.Fprintf(&b, "| %s | %s | %s |\n", m.name, result, m.why)
		}
	}
	if *update {
		if err := os.WriteFile(table, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(table)
	if err != nil || string(have) != b.String() {
		t.Errorf("docs/conformance.md is stale (%v); run the test with -update", err)
	}
}

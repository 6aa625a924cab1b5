package e2e_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rephlo/rephlo/e2e"
)

// foreign is the installation that clients of others run against: what they
// need is in environment variables.
func foreign(t *testing.T) []string {
	t.Helper()
	vendor, actor := e2e.NewVendor(t), e2e.NewActor(t)
	providers := strings.TrimSuffix(strings.TrimSpace(vendor.Providers()), "]") + "," + strings.Join(actor.Providers(), ",") + "]"
	s := e2e.Start(t, e2e.Options{Providers: providers, Env: vendor.Env()})
	ada, bob := s.NewPerson("ada@example.com"), s.NewPerson("bob@example.com")
	ada.Register()
	bob.Register()
	poor := s.Key(bob.Email)
	spendDownTo(t, s, poor, 0)
	// A browser that the clients send their authorization requests to; it signs
	// ada in and answers with the address that the app is sent to.
	browser := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		to, err := ada.Authorize(r.URL.Query().Get("url"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		fmt.Fprint(w, to)
	}))
	t.Cleanup(browser.Close)
	return append(e2e.Environment(),
		"REPHLO_COMPAT_API="+s.API, "REPHLO_COMPAT_IDP="+s.IDP, "REPHLO_COMPAT_BROWSER="+browser.URL,
		"REPHLO_COMPAT_KEY="+s.Key(ada.Email), "REPHLO_COMPAT_POOR_KEY="+poor, "REPHLO_COMPAT_EMAIL="+ada.Email,
		"REPHLO_COMPAT_VENDORS="+strings.Join(e2e.Vendors, ","))
}

// run runs clients and returns what they printed.
func run(t *testing.T, dir string, env []string, name string, args ...string) string {
	t.Helper()
	c := exec.CommandContext(t.Context(), name, args...)
	c.Dir, c.Env = dir, env
	out, err := c.CombinedOutput()
	if err != nil {
		t.Errorf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// Clients that nobody here wrote, against the built program. What each of them
// can do with the models of each vendor is the table in docs/sdk-matrix.md.
func TestForeignClients(t *testing.T) {
	e2e.Require(t)
	found := matrix{}
	// openai-go, anthropic-sdk-go, genai, coreos/go-oidc and x/oauth2, in a module
	// of their own: they take minutes to compile.
	t.Run("go", func(t *testing.T) {
		found.read(goCell, run(t, "compat", foreign(t), "go", "test", "-v", "-count=1", "./..."))
	})
	// The npm packages, pinned by the lock file.
	t.Run("npm", func(t *testing.T) {
		for _, program := range []string{"node", "npm"} {
			if _, err := exec.LookPath(program); err == nil {
				continue
			}
			if os.Getenv("CI") != "" {
				t.Fatalf("%s was not found, and in CI the npm clients must run; install Node 20 or newer", program)
			}
			t.Skipf("%s was not found: the npm clients are skipped; install Node 20 or newer", program)
		}
		if _, err := os.Stat(filepath.Join("npm", "node_modules", "ai")); err != nil {
			run(t, "npm", os.Environ(), "npm", "ci", "--no-audit", "--no-fund")
		}
		found.read(nodeCell, run(t, "npm", foreign(t), "node", "--test", "--test-reporter=tap"))
		found.compare(t)
	})
}

package health

import (
	"net/http"

	"github.com/rephlo/rephlo/internal/web"
)

// API answers /health and what is below it. Both services mount it.
type API struct{ Health *Health }

// Mount registers the routes; nobody has to sign in for them.
func (a API) Mount(m *web.Mux) {
	shows := web.All(web.Raw(), web.Open(), web.Gives(http.StatusOK, "", body{}))
	ready := web.All(shows, web.Gives(http.StatusServiceUnavailable, "", body{}), web.Doc("Show whether the service can serve, and how its parts are"))
	m.Handle("GET /health", a.ready, ready)
	m.Handle("GET /health/ready", a.ready, ready)
	m.Handle("GET /health/startup", a.startup, shows, web.Gives(http.StatusServiceUnavailable, "", body{}), web.Doc("Show whether the start has ended, whatever has become of the service since"))
	m.Handle("GET /health/live", a.live, shows, web.Doc("Show that the process runs"))
}

type body struct {
	Status   State            `json:"status" enum:"ok,degraded,down"`
	Draining bool             `json:"draining,omitempty"`
	Parts    map[string]State `json:"parts,omitempty"`
}

func (a API) live(w http.ResponseWriter, _ *http.Request) error {
	return web.JSON(w, http.StatusOK, body{Status: OK})
}

// startup answers probes that wait for a start, which may take its time: what
// is resolved before the service listens. Later outages are not its business,
// or an orchestrator would end a process that waits for its database.
func (a API) startup(w http.ResponseWriter, r *http.Request) error {
	if a.Health.Started() {
		return web.JSON(w, http.StatusOK, body{Status: OK})
	}
	return a.ready(w, r)
}

func (a API) ready(w http.ResponseWriter, r *http.Request) error {
	report := a.Health.Report(r.Context())
	status := http.StatusOK
	if !report.Ready() {
		status = http.StatusServiceUnavailable
		w.Header().Set("Retry-After", "2")
	}
	return web.JSON(w, status, body{Status: report.State, Draining: report.Draining, Parts: report.Parts})
}

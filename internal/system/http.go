package system

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/web"
)

// AdminAPI shows operators how the installation is.
type AdminAPI struct {
	System *Service
	// Counters says where limits are counted: "process", or "redis" for all.
	Counters string
	// Parts are the parts of this process that health checks look at, and how
	// they are: ok, degraded or down.
	Parts func(ctx context.Context) map[string]string
	// Queues are the kinds of background work.
	Queues func(ctx context.Context) ([]Queue, error)
	// Waiting is how many approvals the reader could decide.
	Waiting func(ctx context.Context) (int, error)
}

// Mount registers the route.
func (a AdminAPI) Mount(m *web.Mux) {
	web.Route(m, "GET /admin/system", a.show, access.Allows(access.ViewJobs), web.Doc("Show how the installation is, and what needs attention"))
}

// Queue is one kind of background work.
type Queue struct {
	Kind    string  `json:"kind"`
	Waiting int64   `json:"waiting"`
	Dead    int64   `json:"dead" doc:"Given up; an administrator can start them again"`
	Lag     float64 `json:"lagSeconds" doc:"For how long the oldest has been due"`
}

// NodeBody is a process as it is shown.
type NodeBody struct {
	Name      string    `json:"name"`
	Version   string    `json:"version"`
	StartedAt time.Time `json:"startedAt"`
	SeenAt    time.Time `json:"seenAt"`
	Self      bool      `json:"self" doc:"It is the one that answers"`
	Silent    bool      `json:"silent" doc:"It has not been seen for half a minute"`
}

// Attention is something that somebody should look at.
type Attention struct {
	Code  string `json:"code" enum:"part_down,part_degraded,tasks_dead,queue_late,node_silent,versions_differ,approvals_waiting"`
	About string `json:"about" doc:"The part, the kind of work or the process"`
	Count int64  `json:"count"`
	Text  string `json:"text"`
	Path  string `json:"path" doc:"Where more is to be seen"`
}

type systemOutput struct {
	Body struct {
		Nodes    []NodeBody `json:"nodes"`
		Database struct {
			Engine    string  `json:"engine" enum:"sqlite,postgres"`
			LatencyMS float64 `json:"latencyMs"`
		} `json:"database"`
		Counters  string            `json:"counters" enum:"process,redis" doc:"Where limits are counted: each process for itself, or all in Redis"`
		Parts     map[string]string `json:"parts"`
		Queues    []Queue           `json:"queues"`
		Attention []Attention       `json:"attention" doc:"What somebody should look at; empty when all is well"`
	}
}

func (a AdminAPI) show(ctx context.Context, _ *struct{}) (*systemOutput, error) {
	out := &systemOutput{}
	took, err := a.System.ping(ctx)
	if err != nil {
		return nil, err
	}
	b := &out.Body
	b.Database.Engine, b.Database.LatencyMS = string(a.System.db.Engine()), float64(took.Microseconds())/1000
	b.Counters, b.Parts, b.Attention = a.Counters, a.Parts(ctx), []Attention{}
	nodes, err := a.System.Nodes(ctx)
	if err != nil {
		return nil, err
	}
	b.Nodes = a.shown(nodes)
	if b.Queues, err = a.Queues(ctx); err != nil {
		return nil, err
	}
	waiting, err := a.Waiting(ctx)
	if err != nil {
		return nil, err
	}
	b.Attention = slices.Concat(b.Attention, ofParts(b.Parts), ofQueues(b.Queues), ofNodes(b.Nodes))
	if waiting > 0 {
		b.Attention = append(b.Attention, Attention{"approvals_waiting", "", int64(waiting), "Administrators wait for you to decide.", "/admin/approvals?status=pending"})
	}
	return out, nil
}

func (a AdminAPI) shown(nodes []Node) []NodeBody {
	out := make([]NodeBody, 0, len(nodes))
	for _, n := range nodes {
		out = append(out, NodeBody{
			Name: n.Name, Version: n.Version, StartedAt: n.StartedAt, SeenAt: n.SeenAt,
			Self: n.Name == a.System.self.Name, Silent: a.System.now().Sub(n.SeenAt) > silent,
		})
	}
	return out
}

func ofParts(parts map[string]string) (out []Attention) {
	for name, state := range parts {
		if state != "ok" {
			out = append(out, Attention{"part_" + state, name, 1, fmt.Sprintf("The part %s of this process is %s; its log says why.", name, state), "/health"})
		}
	}
	slices.SortFunc(out, func(a, b Attention) int { return strings.Compare(a.Code+a.About, b.Code+b.About) })
	return out
}

// late is from when on a queue needs attention, in seconds.
const late = 300

func ofQueues(queues []Queue) (out []Attention) {
	for _, q := range queues {
		path := "/admin/jobs/" + q.Kind + "/runs"
		if q.Dead > 0 {
			out = append(out, Attention{"tasks_dead", q.Kind, q.Dead, fmt.Sprintf("Tasks of %s were given up: %d.", q.Kind, q.Dead), path + "?status=dead"})
		}
		if q.Lag > late {
			out = append(out, Attention{"queue_late", q.Kind, q.Waiting, fmt.Sprintf("Work of %s has been due for %.0f minutes.", q.Kind, q.Lag/60), path + "?status=waiting"})
		}
	}
	return out
}

func ofNodes(nodes []NodeBody) (out []Attention) {
	versions := map[string]bool{}
	for _, n := range nodes {
		if n.Silent {
			out = append(out, Attention{"node_silent", n.Name, 1, fmt.Sprintf("The process %s has not been seen since %s.", n.Name, n.SeenAt.Format(time.RFC3339)), "/admin/system"})
		} else {
			versions[n.Version] = true
		}
	}
	if len(versions) > 1 {
		out = append(out, Attention{"versions_differ", "", int64(len(versions)), "Processes of different versions serve side by side; that is for the time of an upgrade only.", "/admin/system"})
	}
	return out
}

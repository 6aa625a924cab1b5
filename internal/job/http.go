package job

import (
	"context"
	"net/http"
	"time"

	"github.com/rephlo/rephlo/internal/list"
	"github.com/rephlo/rephlo/internal/web"
)

// AdminAPI shows the jobs of the processes to administrators and lets them
// start one. View and Change are the permissions. Audit remembers what somebody
// started, in the transaction that starts it; nil remembers nothing.
type AdminAPI struct {
	Jobs         *Service
	Cursors      list.Cursors
	View, Change web.Option
	Audit        func(ctx context.Context, action string, r Run) error
}

// Mount registers the routes.
func (a AdminAPI) Mount(m *web.Mux) {
	web.Route(m, "GET /admin/jobs", a.jobs, a.View, web.Doc("List the background jobs with their last run"))
	web.Route(m, "GET /admin/jobs/{name}/runs", a.runs, a.View, web.Doc("List the runs of a job, newest first"))
	web.Route(m, "POST /admin/jobs/{name}/run", a.run, a.Change, web.Status(http.StatusAccepted), web.Doc("Run a scheduled job now"))
	web.Route(m, "POST /admin/jobs/runs/{id}/retry", a.retry, a.Change, web.Status(http.StatusAccepted), web.Doc("Try a run again that failed for good"))
}

type statusBody struct {
	Name       string     `json:"name"`
	EverySec   *int64     `json:"everySeconds" doc:"Of a schedule; null for a job that runs on demand"`
	NextAt     *time.Time `json:"nextAt"`
	Waiting    int        `json:"waiting"`
	Dead       int        `json:"dead" doc:"Failed for good"`
	LagSeconds int64      `json:"lagSeconds" doc:"How long the oldest due run has waited"`
	Last       *runBody   `json:"last"`
}

type runBody struct {
	ID        string     `json:"id"`
	Name      string     `json:"name"`
	Status    string     `json:"status" enum:"waiting,running,done,dead"`
	Attempt   int        `json:"attempt"`
	DueAt     time.Time  `json:"dueAt"`
	CreatedAt time.Time  `json:"createdAt"`
	StartedAt *time.Time `json:"startedAt"`
	EndedAt   *time.Time `json:"endedAt"`
	Error     *string    `json:"error" doc:"Of the last attempt"`
}

func show(r Run) *runBody {
	b := &runBody{
		ID: r.ID, Name: r.Kind, Status: string(r.State), Attempt: r.Attempt, DueAt: r.DueAt, CreatedAt: r.CreatedAt,
		StartedAt: optional(r.StartedAt), EndedAt: optional(r.EndedAt),
	}
	if r.Running {
		b.Status = "running"
	}
	if r.Error != "" {
		b.Error = &r.Error
	}
	return b
}

func optional(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

type jobsOutput struct {
	Body struct {
		Data []statusBody `json:"data"`
	}
}

func (a AdminAPI) jobs(ctx context.Context, _ *struct{}) (*jobsOutput, error) {
	statuses, err := a.Jobs.Statuses(ctx)
	if err != nil {
		return nil, err
	}
	out := &jobsOutput{}
	out.Body.Data = make([]statusBody, 0, len(statuses))
	for _, s := range statuses {
		b := statusBody{Name: s.Name, NextAt: optional(s.NextAt), Waiting: s.Waiting, Dead: s.Dead, LagSeconds: int64(s.Lag / time.Second)}
		if s.Schedule.Period > 0 {
			every := int64(s.Schedule.Period / time.Second)
			b.EverySec = &every
		}
		if s.Last != nil {
			b.Last = show(*s.Last)
		}
		out.Body.Data = append(out.Body.Data, b)
	}
	return out, nil
}

type runsInput struct {
	Name   string `path:"name" maxLength:"64"`
	Status string `query:"status" enum:"waiting,done,dead"`
	Limit  int    `query:"limit" minimum:"1" maximum:"100" default:"20"`
	Cursor string `query:"cursor" maxLength:"500"`
}

type runsOutput struct{ Body list.Page[*runBody] }

const listName = "job-runs"

func (a AdminAPI) runs(ctx context.Context, in *runsInput) (*runsOutput, error) {
	var before string
	if in.Cursor != "" {
		if err := a.Cursors.Decode(listName, in.Cursor, &before); err != nil {
			return nil, err
		}
	}
	runs, err := a.Jobs.Runs(ctx, in.Name, State(in.Status), before, in.Limit+1)
	if err != nil {
		return nil, err
	}
	out := &runsOutput{Body: list.Page[*runBody]{Data: []*runBody{}}}
	if len(runs) > in.Limit {
		runs = runs[:in.Limit]
		next, err := a.Cursors.Encode(listName, runs[in.Limit-1].ID)
		if err != nil {
			return nil, err
		}
		out.Body.NextCursor = &next
	}
	for _, r := range runs {
		out.Body.Data = append(out.Body.Data, show(r))
	}
	return out, nil
}

type nameInput struct {
	Name string `path:"name" maxLength:"64"`
}

type runOutput struct{ Body *runBody }

func (a AdminAPI) run(ctx context.Context, in *nameInput) (*runOutput, error) {
	return a.started(ctx, "jobs.run", func(ctx context.Context) (Run, error) { return a.Jobs.RunNow(ctx, in.Name) })
}

type retryInput struct {
	ID string `path:"id" maxLength:"64"`
}

func (a AdminAPI) retry(ctx context.Context, in *retryInput) (*runOutput, error) {
	return a.started(ctx, "jobs.retry", func(ctx context.Context) (Run, error) { return a.Jobs.Retry(ctx, in.ID) })
}

// started starts something and remembers it.
func (a AdminAPI) started(ctx context.Context, action string, start func(context.Context) (Run, error)) (*runOutput, error) {
	var r Run
	err := a.Jobs.db.InTx(ctx, func(ctx context.Context) (err error) {
		if r, err = start(ctx); err != nil || a.Audit == nil {
			return err
		}
		return a.Audit(ctx, action, r)
	})
	if err != nil {
		return nil, err
	}
	return &runOutput{Body: show(r)}, nil
}

package audit

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/list"
	"github.com/rephlo/rephlo/internal/web"
)

// AdminAPI shows the log to administrators.
type AdminAPI struct {
	Log     *Log
	Cursors list.Cursors
}

var errTime = fault.New(fault.Unprocessable, "validation_error", "A time is wrong. Write it as 2026-01-31T00:00:00Z.")

// Mount registers the routes.
func (a AdminAPI) Mount(m *web.Mux) {
	view := access.Allows(access.ViewAudit)
	web.Route(m, "GET /admin/audit-logs", a.list, view, web.Doc("List what administrators did, newest first"))
	web.Route(m, "GET /admin/audit-logs/{seq}", a.one, view, web.Doc("Show an audit entry"))
	web.Route(m, "GET /admin/audit-logs/resource/{type}/{id}", a.ofResource, view, web.Doc("List what was done to one thing, newest first"))
	web.Route(m, "GET /admin/audit-logs/admin/{userId}", a.ofAdmin, view, web.Doc("List what one administrator did, newest first"))
	web.Route(m, "GET /admin/role-changes", a.roleChanges, view, web.Doc("List the changes of anybody's rights, newest first"))
	web.Route(m, "POST /admin/audit-logs/verify", a.verify, view, web.Doc("Check that the audit log is as it was written"))
	m.Handle("GET /admin/audit-logs/export", a.export, access.Allows(access.ExportAudit), web.Doc("Take a copy of the audit log"), web.Gives(http.StatusOK, "application/jsonl", nil), web.Params(auditSpanInput{}))
}

// EntryBody is an entry as the API shows it.
type EntryBody struct {
	Seq       int64                      `json:"seq"`
	At        time.Time                  `json:"at"`
	ActorID   string                     `json:"actorId"`
	Roles     []string                   `json:"roles"`
	Action    string                     `json:"action"`
	Type      string                     `json:"resourceType"`
	ID        string                     `json:"resourceId"`
	Outcome   Outcome                    `json:"outcome" enum:"done,refused,failed"`
	Reason    *string                    `json:"reason"`
	IP        *string                    `json:"ip" doc:"null: not known, or erased"`
	Client    *string                    `json:"client" doc:"null: not known, or erased"`
	RequestID *string                    `json:"requestId"`
	Before    map[string]json.RawMessage `json:"before"`
	After     map[string]json.RawMessage `json:"after"`
	Hash      string                     `json:"hash"`
}

func show(e Entry) EntryBody {
	return EntryBody{
		Seq: e.Seq, At: e.At, ActorID: e.Actor, Roles: append([]string{}, e.Roles...), Action: e.Action, Type: e.Type, ID: e.ID, Outcome: e.Outcome,
		Reason: orNull(e.Reason), IP: orNull(e.IP), Client: orNull(e.Client), RequestID: orNull(e.RequestID),
		Before: e.Before, After: e.After, Hash: e.Hash,
	}
}

func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// PageInput asks for a part of a list.
type PageInput struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"100" default:"20"`
	Cursor string `query:"cursor" maxLength:"500"`
}

type auditListInput struct {
	PageInput
	ActorID   string    `query:"actor_id" maxLength:"200"`
	Action    string    `query:"action" maxLength:"200"`
	Type      string    `query:"resource_type" maxLength:"200"`
	ID        string    `query:"resource_id" maxLength:"200"`
	IP        string    `query:"ip" maxLength:"64"`
	RequestID string    `query:"request_id" maxLength:"64"`
	Outcome   string    `query:"outcome" enum:"done,refused,failed"`
	After     time.Time `query:"created_after"`
	Before    time.Time `query:"created_before"`
}

type auditListOutput struct{ Body list.Page[EntryBody] }

func (a AdminAPI) list(ctx context.Context, in *auditListInput) (*auditListOutput, error) {
	return a.page(ctx, in.PageInput, Filter{
		Actor: in.ActorID, Action: in.Action, Type: in.Type, ID: in.ID, IP: in.IP, RequestID: in.RequestID,
		Outcome: Outcome(in.Outcome), After: in.After, Before: in.Before,
	})
}

type auditResourceInput struct {
	PageInput
	Type string `path:"type" maxLength:"200"`
	ID   string `path:"id" maxLength:"200"`
}

func (a AdminAPI) ofResource(ctx context.Context, in *auditResourceInput) (*auditListOutput, error) {
	return a.page(ctx, in.PageInput, Filter{Type: in.Type, ID: in.ID})
}

type auditActorInput struct {
	PageInput
	UserID string `path:"userId" maxLength:"64"`
}

func (a AdminAPI) ofAdmin(ctx context.Context, in *auditActorInput) (*auditListOutput, error) {
	return a.page(ctx, in.PageInput, Filter{Actor: in.UserID})
}

func (a AdminAPI) roleChanges(ctx context.Context, in *PageInput) (*auditListOutput, error) {
	return a.page(ctx, *in, Filter{Type: "rights"})
}

// page is a part of the list that f chooses, of what the reader may see.
func (a AdminAPI) page(ctx context.Context, in PageInput, f Filter) (*auditListOutput, error) {
	reader, err := access.From(ctx)
	if err != nil {
		return nil, err
	}
	out := &auditListOutput{Body: list.Page[EntryBody]{Data: []EntryBody{}}}
	if reader.Bounded(access.ViewAudit) {
		if f.Actor != "" && f.Actor != reader.UserID {
			return out, nil
		}
		f.Actor = reader.UserID
	}
	out.Body, err = list.Make(a.Cursors, "audit", in.Cursor, in.Limit, show, func(e Entry) string { return strconv.FormatInt(e.Seq, 10) },
		func(before string, limit int) ([]Entry, error) {
			if before != "" {
				below, err := strconv.ParseInt(before, 10, 64)
				if err != nil {
					return nil, list.ErrCursor.At("cursor")
				}
				f.Below = below
			}
			return a.Log.List(ctx, f, limit)
		})
	return out, err
}

type auditOneInput struct {
	Seq int64 `path:"seq" minimum:"1"`
}

type auditOneOutput struct{ Body EntryBody }

func (a AdminAPI) one(ctx context.Context, in *auditOneInput) (*auditOneOutput, error) {
	reader, err := access.From(ctx)
	if err != nil {
		return nil, err
	}
	e, err := a.Log.One(ctx, in.Seq)
	if err != nil {
		return nil, err
	}
	if reader.Bounded(access.ViewAudit) && e.Actor != reader.UserID {
		return nil, ErrUnknown
	}
	return &auditOneOutput{show(e)}, nil
}

type auditVerifyInput struct {
	Body struct {
		From *time.Time `json:"from,omitempty"`
		To   *time.Time `json:"to,omitempty"`
	}
}

type auditVerifyOutput struct {
	Body struct {
		OK          bool    `json:"ok"`
		Rows        int64   `json:"rows" doc:"How many were checked"`
		FirstBadSeq *int64  `json:"firstBadSeq"`
		Problem     *string `json:"problem"`
		Seq         int64   `json:"seq" doc:"The newest entry"`
		Hash        string  `json:"hash" doc:"Of the newest entry"`
		PrunedSeq   int64   `json:"prunedSeq" doc:"The last entry that was forgotten because of its age; 0 when all are kept"`
	}
}

func (a AdminAPI) verify(ctx context.Context, in *auditVerifyInput) (*auditVerifyOutput, error) {
	v, err := a.Log.Verify(ctx, timeOf(in.Body.From), timeOf(in.Body.To))
	if err != nil {
		return nil, err
	}
	out := &auditVerifyOutput{}
	out.Body.OK, out.Body.Rows, out.Body.Seq, out.Body.Hash = v.FirstBad == 0, v.Rows, v.Seq, v.Hash
	out.Body.PrunedSeq = v.Pruned
	if v.FirstBad > 0 {
		out.Body.FirstBadSeq, out.Body.Problem = &v.FirstBad, &v.Problem
	}
	return out, nil
}

func timeOf(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}

// exported is a line of the export: what anybody can read, and what the chain
// is made of.
type exported struct {
	EntryBody
	Prev   string `json:"prevHash"`
	Record string `json:"record"`
}

// export writes the entries of a time as JSON lines.
func (a AdminAPI) export(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	from, to, err := span(r)
	if err != nil {
		return err
	}
	if err := a.Log.Write(ctx, Change{Action: "audit.export", Type: "audit", ID: r.URL.RawQuery}); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/jsonl")
	w.Header().Set("Content-Disposition", `attachment; filename="audit.jsonl"`)
	w.Header().Set("Cache-Control", "no-store")
	lines := json.NewEncoder(w)
	lines.SetEscapeHTML(false)
	patience, n := http.NewResponseController(w), 0
	return a.Log.Export(ctx, from, to, func(e Entry) error {
		if n++; n%walkPage == 0 { // it goes on as long as the reader reads
			_ = patience.SetWriteDeadline(a.Log.now().Add(linePatience)) // writers without a connection have none
		}
		return lines.Encode(exported{show(e), e.Prev, e.Record})
	})
}

const linePatience = 30 * time.Second

// auditSpanInput describes what span reads.
type auditSpanInput struct {
	From time.Time `query:"from"`
	To   time.Time `query:"to"`
}

func span(r *http.Request) (from, to time.Time, err error) {
	for name, t := range map[string]*time.Time{"from": &from, "to": &to} {
		if text := r.URL.Query().Get(name); text != "" {
			if *t, err = time.Parse(time.RFC3339, text); err != nil {
				return from, to, errTime.At(name)
			}
		}
	}
	return from, to, nil
}

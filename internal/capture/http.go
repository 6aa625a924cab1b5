package capture

import (
	"context"
	"net/http"
	"time"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/list"
	"github.com/rephlo/rephlo/internal/web"
)

// API lets people see what was kept of their calls. An API key cannot: none has
// the scope keys.manage.
type API struct {
	Captures *Service
	Cursors  list.Cursors
	// Person is for routes of administrators about one person: it checks that
	// there is one and who may see them.
	Person web.Option
}

// Mount registers the routes.
func (a API) Mount(m *web.Mux) {
	needs, admin := access.Needs(access.ScopeKeys), access.Allows(access.ManageSecurity)
	web.Route(m, "GET /v1/captures", a.list, needs, web.Doc("List the calls whose requests and answers were kept, newest first"))
	web.Route(m, "GET /v1/captures/{callId}", a.read, needs, web.Doc("Read what was kept of a call; that you did is remembered"))
	web.Route(m, "DELETE /v1/captures/{callId}", a.remove, needs, web.Status(http.StatusNoContent), web.Doc("Delete what was kept of a call"))
	web.Route(m, "DELETE /v1/captures", a.removeAll, needs, web.Status(http.StatusNoContent), web.Doc("Delete all that was kept of your calls"))
	web.Route(m, "GET /admin/users/{id}/captures", a.ofPerson, admin, a.Person, web.Doc("List a person's calls whose requests and answers were kept"))
	web.Route(m, "GET /admin/users/{id}/captures/{callId}", a.readPersons, admin, a.Person, web.Doc("Read what was kept of a person's call; that you did is remembered"))
}

// ListInput is a page of captures.
type ListInput struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"100" default:"20"`
	Cursor string `query:"cursor" maxLength:"500"`
	KeyID  string `query:"api_key_id" maxLength:"64"`
}

// Shown is a capture without its content.
type Shown struct {
	ID          string    `json:"id" doc:"Of the call"`
	RequestID   string    `json:"requestId"`
	KeyID       string    `json:"apiKeyId"`
	ModelID     string    `json:"modelId"`
	Operation   string    `json:"operation"`
	RequestSize int64     `json:"requestBytes" doc:"With media"`
	AnswerSize  int64     `json:"answerBytes" doc:"With media"`
	CreatedAt   time.Time `json:"createdAt"`
}

func show(r Row) Shown {
	return Shown{r.ID, r.RequestID, r.KeyID, r.ModelID, r.Operation, r.RequestSize, r.AnswerSize, r.At}
}

// Whole is a capture.
type Whole struct {
	Shown
	RequestType string `json:"requestType" doc:"Media type"`
	Request     string `json:"request" doc:"What was sent, with media replaced by their size and hash"`
	RequestCut  bool   `json:"requestCut" doc:"Only the first 256 KiB were kept"`
	AnswerType  string `json:"answerType" doc:"Media type"`
	Answer      string `json:"answer" doc:"What was answered; of a stream, its events"`
	AnswerCut   bool   `json:"answerCut"`
	Error       string `json:"error" doc:"Code, of a call that failed"`
}

type listOutput struct{ Body list.Page[Shown] }

type wholeOutput struct{ Body Whole }

func (a API) list(ctx context.Context, in *ListInput) (*listOutput, error) {
	actor, err := access.From(ctx)
	if err != nil {
		return nil, err
	}
	return a.page(ctx, actor.UserID, in)
}

func (a API) page(ctx context.Context, userID string, in *ListInput) (*listOutput, error) {
	page, err := list.Make(a.Cursors, "captures "+userID+" "+in.KeyID, in.Cursor, in.Limit, show, func(r Row) string { return r.ID },
		func(before string, limit int) ([]Row, error) {
			return a.Captures.List(ctx, userID, in.KeyID, before, limit)
		})
	return &listOutput{page}, err
}

// CallPath names a call.
type CallPath struct {
	CallID string `path:"callId" maxLength:"64"`
}

func (a API) read(ctx context.Context, in *CallPath) (*wholeOutput, error) {
	actor, err := access.From(ctx)
	if err != nil {
		return nil, err
	}
	return a.whole(ctx, actor.UserID, in.CallID, "")
}

func (a API) whole(ctx context.Context, userID, id, reason string) (*wholeOutput, error) {
	r, p, err := a.Captures.Read(ctx, userID, id, reason)
	if err != nil {
		return nil, err
	}
	return &wholeOutput{Whole{
		Shown: show(r), RequestType: p.RequestType, Request: p.Request, RequestCut: p.RequestCut,
		AnswerType: p.AnswerType, Answer: p.Answer, AnswerCut: p.AnswerCut, Error: p.Error,
	}}, nil
}

func (a API) remove(ctx context.Context, in *CallPath) (*struct{}, error) {
	actor, err := access.From(ctx)
	if err != nil {
		return nil, err
	}
	return nil, a.Captures.Delete(ctx, actor.UserID, in.CallID)
}

func (a API) removeAll(ctx context.Context, _ *struct{}) (*struct{}, error) {
	actor, err := access.From(ctx)
	if err != nil {
		return nil, err
	}
	return nil, a.Captures.Delete(ctx, actor.UserID, "")
}

type personListInput struct {
	ListInput
	ID string `path:"id" maxLength:"64"`
}

func (a API) ofPerson(ctx context.Context, in *personListInput) (*listOutput, error) {
	return a.page(ctx, in.ID, &in.ListInput)
}

type personReadInput struct {
	CallPath
	ID     string `path:"id" maxLength:"64"`
	Reason string `query:"reason" required:"true" minLength:"10" maxLength:"500" doc:"Why you read what somebody wrote"`
}

func (a API) readPersons(ctx context.Context, in *personReadInput) (*wholeOutput, error) {
	return a.whole(ctx, in.ID, in.CallID, in.Reason)
}

package limit

import (
	"context"
	"time"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/web"
)

// AdminAPI lets administrators give people limits of their own.
type AdminAPI struct {
	Limits *Service
	// Known returns an error for a user that does not exist.
	Known func(ctx context.Context, userID string) error
}

// Mount registers the routes.
func (a AdminAPI) Mount(m *web.Mux) {
	edit := access.Allows(access.EditTiers)
	web.Route(m, "PUT /admin/users/{id}/limits", a.set, edit, web.Doc("Give a person other limits than those of their tier"))
	web.Route(m, "DELETE /admin/users/{id}/limits", a.clear, edit, web.Doc("Give a person the limits of their tier again"))
}

// Body is an override as the API shows it.
type Body struct {
	UserID             string         `json:"userId"`
	RequestsPerMinute  *int64         `json:"requestsPerMinute" doc:"null: that of the tier, as for the others"`
	TokensPerMinute    *int64         `json:"tokensPerMinute"`
	ConcurrentRequests *int64         `json:"concurrentRequests"`
	CreditsPerDay      *money.Credits `json:"creditsPerDay"`
	Reason             string         `json:"reason"`
	CreatedBy          string         `json:"createdBy"`
	CreatedAt          time.Time      `json:"createdAt"`
	ExpiresAt          *time.Time     `json:"expiresAt"`
}

func some[T int64 | money.Credits](v T) *T {
	if v == 0 {
		return nil
	}
	return &v
}

// Show returns o as the API shows it.
func Show(o Override) Body {
	b := Body{
		UserID: o.UserID, RequestsPerMinute: some(o.RequestsPerMinute), TokensPerMinute: some(o.TokensPerMinute),
		ConcurrentRequests: some(o.ConcurrentRequests), CreditsPerDay: some(o.CreditsPerDay), Reason: o.Reason, CreatedBy: o.By, CreatedAt: o.At,
	}
	if !o.ExpiresAt.IsZero() {
		b.ExpiresAt = &o.ExpiresAt
	}
	return b
}

type setInput struct {
	ID   string `path:"id" maxLength:"64"`
	Body struct {
		RequestsPerMinute  int64       `json:"requestsPerMinute,omitempty" minimum:"1" maximum:"1000000" doc:"That of the tier when absent, as for the others"`
		TokensPerMinute    int64       `json:"tokensPerMinute,omitempty" minimum:"1" maximum:"1000000000"`
		ConcurrentRequests int64       `json:"concurrentRequests,omitempty" minimum:"1" maximum:"10000"`
		CreditsPerDay      *web.Amount `json:"creditsPerDay,omitempty"`
		ExpiresAt          *time.Time  `json:"expiresAt,omitempty" doc:"Until somebody takes them back when absent"`
		Reason             string      `json:"reason" minLength:"10" maxLength:"500"`
	}
}

type setOutput struct{ Body Body }

func (a AdminAPI) set(ctx context.Context, in *setInput) (*setOutput, error) {
	if err := a.Known(ctx, in.ID); err != nil {
		return nil, err
	}
	b := in.Body
	o := Override{
		UserID: in.ID, RequestsPerMinute: b.RequestsPerMinute, TokensPerMinute: b.TokensPerMinute, ConcurrentRequests: b.ConcurrentRequests, Reason: b.Reason,
	}
	if b.CreditsPerDay != nil {
		o.CreditsPerDay = b.CreditsPerDay.Credits
	}
	if b.ExpiresAt != nil {
		o.ExpiresAt = *b.ExpiresAt
	}
	o, err := a.Limits.Set(ctx, o)
	if err != nil {
		return nil, err
	}
	return &setOutput{Show(o)}, nil
}

type clearInput struct {
	ID     string `path:"id" maxLength:"64"`
	Reason string `query:"reason" required:"true" minLength:"10" maxLength:"500"`
}

func (a AdminAPI) clear(ctx context.Context, in *clearInput) (*struct{}, error) {
	if err := a.Known(ctx, in.ID); err != nil {
		return nil, err
	}
	return nil, a.Limits.Clear(ctx, in.ID, in.Reason)
}

package account

import (
	"context"
	"encoding/json"
	"time"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/web"
)

// Model is a model that somebody may call.
type Model struct {
	ID           string   `json:"id"`
	Name         string   `json:"name"`
	Capabilities []string `json:"capabilities"`
}

// Plan is the subscription of somebody, as their profile shows it.
type Plan struct {
	Tier               string     `json:"tier"`
	Status             string     `json:"status"`
	CurrentPeriodStart *time.Time `json:"currentPeriodStart"`
	CurrentPeriodEnd   *time.Time `json:"currentPeriodEnd"`
	CancelAtPeriodEnd  bool       `json:"cancelAtPeriodEnd"`
}

// PreferenceAPI is where people say what they prefer, and apps read it.
type PreferenceAPI struct {
	Accounts *Service
	// Model returns a model by its id or another name of it, or why userID may not
	// call it.
	Model func(userID, id string) (Model, error)
	// Plan returns the subscription of somebody; nil when there is none.
	Plan func(ctx context.Context, userID string) (*Plan, error)
}

// Mount registers the routes.
func (a PreferenceAPI) Mount(m *web.Mux) {
	needs := access.Needs(access.ScopeUser)
	web.Route(m, "GET /v1/users/me/preferences", a.show, needs, web.Doc("Show what you prefer"))
	web.Route(m, "PATCH /v1/users/me/preferences", a.change, needs, web.Doc("Change what you prefer; null clears"))
	web.Route(m, "GET /v1/users/me/preferences/model", a.showModel, needs, web.Doc("Show the model that your apps begin with"))
	web.Route(m, "POST /v1/users/me/preferences/model", a.chooseModel, needs, web.Doc("Choose the model that your apps begin with"))
	web.Route(m, "GET /api/user/profile", a.profile, needs, web.Doc("Your profile, plan and preferences in one"))
}

type preferenceBody struct {
	DefaultModelID     *string         `json:"defaultModelId"`
	EnableStreaming    bool            `json:"enableStreaming"`
	MaxTokens          *int64          `json:"maxTokens"`
	Temperature        *float64        `json:"temperature"`
	EmailNotifications bool            `json:"emailNotifications" doc:"Mails that are not needed for safety or billing"`
	UsageAlerts        bool            `json:"usageAlerts" doc:"Mails when 75, 90 and 100 % of the plan are used"`
	Locale             *string         `json:"locale"`
	Timezone           *string         `json:"timezone"`
	Metadata           json.RawMessage `json:"preferencesMetadata" doc:"An object that your apps may use as they like"`
}

type preferenceOutput struct{ Body preferenceBody }

func showPreferences(p Preferences) preferenceBody {
	b := preferenceBody{
		DefaultModelID: optional(p.ModelID), EnableStreaming: p.Stream, EmailNotifications: p.Mails, UsageAlerts: p.Alerts,
		Locale: optional(p.Locale), Timezone: optional(p.Timezone), Metadata: json.RawMessage("null"),
	}
	if p.MaxTokens > 0 {
		b.MaxTokens = &p.MaxTokens
	}
	if p.Temperature != nil {
		t := float64(*p.Temperature) / 1000
		b.Temperature = &t
	}
	if p.Metadata != "" {
		b.Metadata = json.RawMessage(p.Metadata)
	}
	return b
}

// person returns who asks, if it is not an API key.
func person(ctx context.Context) (string, error) {
	actor, err := access.From(ctx)
	if err == nil && actor.KeyID != "" {
		err = access.ErrNotByKey
	}
	return actor.UserID, err
}

func (a PreferenceAPI) show(ctx context.Context, _ *struct{}) (*preferenceOutput, error) {
	userID, err := person(ctx)
	if err != nil {
		return nil, err
	}
	p, err := a.Accounts.Preferences(ctx, userID)
	return &preferenceOutput{showPreferences(p)}, err
}

// The fields of a PATCH are read one by one, as one that is null differs from
// one that is not there.
type changePreferencesInput struct {
	Body struct {
		DefaultModelID     json.RawMessage `json:"defaultModelId,omitempty" doc:"The id of a model, or null"`
		EnableStreaming    json.RawMessage `json:"enableStreaming,omitempty" doc:"true, false, or null for the default"`
		MaxTokens          json.RawMessage `json:"maxTokens,omitempty" doc:"1 to 200000, or null"`
		Temperature        json.RawMessage `json:"temperature,omitempty" doc:"0 to 2, or null"`
		EmailNotifications json.RawMessage `json:"emailNotifications,omitempty" doc:"true, false, or null for the default"`
		UsageAlerts        json.RawMessage `json:"usageAlerts,omitempty" doc:"true, false, or null for the default"`
		Locale             json.RawMessage `json:"locale,omitempty" doc:"A language tag, or null"`
		Timezone           json.RawMessage `json:"timezone,omitempty" doc:"An IANA name, or null"`
		Metadata           json.RawMessage `json:"preferencesMetadata,omitempty" doc:"An object of at most 8 KiB, or null"`
	}
}

// set reads one field of a PATCH into to; null makes it zero, which is also what
// it is when absent.
func set[T any](raw json.RawMessage, name string, zero T, to *T) error {
	switch {
	case len(raw) == 0:
		return nil
	case string(raw) == "null":
		*to = zero
		return nil
	}
	if err := json.Unmarshal(raw, to); err != nil {
		return field(name, "it is of another type")
	}
	return nil
}

func (a PreferenceAPI) change(ctx context.Context, in *changePreferencesInput) (*preferenceOutput, error) {
	userID, err := person(ctx)
	if err != nil {
		return nil, err
	}
	b := in.Body
	p, err := a.Accounts.Prefer(ctx, userID, func(p *Preferences) error {
		var chosen string
		for _, err := range []error{
			set(b.DefaultModelID, "defaultModelId", "", &chosen),
			set(b.EnableStreaming, "enableStreaming", true, &p.Stream),
			set(b.EmailNotifications, "emailNotifications", true, &p.Mails),
			set(b.UsageAlerts, "usageAlerts", true, &p.Alerts),
			set(b.Locale, "locale", "", &p.Locale),
			set(b.Timezone, "timezone", "", &p.Timezone),
			p.setNumbers(b.MaxTokens, b.Temperature),
		} {
			if err != nil {
				return err
			}
		}
		if len(b.Metadata) > 0 {
			p.Metadata = ""
			if string(b.Metadata) != "null" {
				p.Metadata = string(b.Metadata)
			}
		}
		if len(b.DefaultModelID) == 0 {
			return nil
		}
		return a.choose(p, userID, chosen)
	})
	return &preferenceOutput{showPreferences(p)}, err
}

func (p *Preferences) setNumbers(tokens, temperature json.RawMessage) error {
	if len(tokens) > 0 {
		p.MaxTokens = 0
		if err := set(tokens, "maxTokens", 0, &p.MaxTokens); err != nil {
			return err
		}
		if p.MaxTokens == 0 && string(tokens) != "null" {
			return field("maxTokens", "use 1 to 200000")
		}
	}
	if len(temperature) == 0 {
		return nil
	}
	p.Temperature = nil
	var f *float64
	if err := set(temperature, "temperature", nil, &f); err != nil || f == nil {
		return err
	}
	if *f < 0 || *f > maxTemperature {
		return field("temperature", "use 0 to 2")
	}
	t := thousandths(*f)
	p.Temperature = &t
	return nil
}

// choose sets the model; "" is none.
func (a PreferenceAPI) choose(p *Preferences, userID, id string) error {
	p.ModelID = ""
	if id == "" {
		return nil
	}
	m, err := a.Model(userID, id)
	p.ModelID = m.ID
	return err
}

type modelChoiceOutput struct {
	Body struct {
		DefaultModelID *string    `json:"defaultModelId"`
		Model          *Model     `json:"model" doc:"null when you may not call it any more"`
		UpdatedAt      *time.Time `json:"updatedAt"`
	}
}

func (a PreferenceAPI) answerModel(userID string, p Preferences) *modelChoiceOutput {
	out := &modelChoiceOutput{}
	out.Body.DefaultModelID, out.Body.UpdatedAt = optional(p.ModelID), moment(p.ModelAt)
	if p.ModelID != "" {
		if m, err := a.Model(userID, p.ModelID); err == nil {
			out.Body.Model = &m
		}
	}
	return out
}

func (a PreferenceAPI) showModel(ctx context.Context, _ *struct{}) (*modelChoiceOutput, error) {
	userID, err := person(ctx)
	if err != nil {
		return nil, err
	}
	p, err := a.Accounts.Preferences(ctx, userID)
	if err != nil {
		return nil, err
	}
	return a.answerModel(userID, p), nil
}

type chooseModelInput struct {
	Body struct {
		ModelID string `json:"modelId" minLength:"1" maxLength:"200"`
	}
}

func (a PreferenceAPI) chooseModel(ctx context.Context, in *chooseModelInput) (*modelChoiceOutput, error) {
	userID, err := person(ctx)
	if err != nil {
		return nil, err
	}
	p, err := a.Accounts.Prefer(ctx, userID, func(p *Preferences) error { return a.choose(p, userID, in.Body.ModelID) })
	if err != nil {
		return nil, err
	}
	return a.answerModel(userID, p), nil
}

type userProfileOutput struct {
	Body struct {
		UserID       string `json:"userId"`
		Email        string `json:"email"`
		DisplayName  string `json:"displayName"`
		Subscription *Plan  `json:"subscription" doc:"null until the e-mail address is verified"`
		Preferences  struct {
			DefaultModel       *string `json:"defaultModel"`
			EmailNotifications bool    `json:"emailNotifications"`
			UsageAlerts        bool    `json:"usageAlerts"`
		} `json:"preferences"`
		AccountCreatedAt time.Time  `json:"accountCreatedAt"`
		LastLoginAt      *time.Time `json:"lastLoginAt"`
	}
}

func (a PreferenceAPI) profile(ctx context.Context, _ *struct{}) (*userProfileOutput, error) {
	actor, err := access.From(ctx)
	if err != nil {
		return nil, err
	}
	u, err := a.Accounts.ByID(ctx, actor.UserID)
	if err != nil {
		return nil, err
	}
	p, err := a.Accounts.Preferences(ctx, actor.UserID)
	if err != nil {
		return nil, err
	}
	plan, err := a.Plan(ctx, actor.UserID)
	if err != nil {
		return nil, err
	}
	out := &userProfileOutput{}
	b := &out.Body
	b.UserID, b.Email, b.DisplayName, b.Subscription = u.ID, u.Email, u.DisplayName(), plan
	b.Preferences.DefaultModel, b.Preferences.EmailNotifications, b.Preferences.UsageAlerts = optional(p.ModelID), p.Mails, p.Alerts
	b.AccountCreatedAt, b.LastLoginAt = u.CreatedAt.UTC().Truncate(time.Second), moment(u.LastLoginAt)
	return out, nil
}

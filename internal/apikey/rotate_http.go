package apikey

import (
	"context"
	"time"

	"github.com/rephlo/rephlo/internal/access"
)

type rotateInput struct {
	ID   string `path:"id" maxLength:"64"`
	Body struct {
		OverlapHours *int `json:"overlapHours,omitempty" minimum:"0" maximum:"168" doc:"How long the old key still works. Default: 24"`
	}
}

type rotateOutput struct {
	Location string `header:"Location"`
	Body     Rotated
}

// Rotated is a new key, and the one whose place it takes.
type Rotated struct {
	Shown
	Key      string `json:"key" doc:"The secret. It is shown only here."`
	Replaces struct {
		ID        string    `json:"id"`
		ExpiresAt time.Time `json:"expiresAt" doc:"The old key works until then"`
	} `json:"replaces"`
}

func (a API) rotate(ctx context.Context, in *rotateInput) (*rotateOutput, error) {
	actor, err := access.From(ctx)
	if err != nil {
		return nil, err
	}
	overlap := DefaultOverlap
	if in.Body.OverlapHours != nil {
		overlap = time.Duration(*in.Body.OverlapHours) * time.Hour
	}
	made, old, text, err := a.Keys.Rotate(ctx, actor.UserID, in.ID, overlap)
	if err != nil {
		return nil, err
	}
	out := &rotateOutput{Location: "/v1/api-keys/" + made.ID, Body: Rotated{Shown: a.show(made), Key: text.Reveal()}}
	out.Body.Replaces.ID, out.Body.Replaces.ExpiresAt = old.ID, old.ExpiresAt
	return out, nil
}

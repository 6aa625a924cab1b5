package webhook

import (
	"context"
	"encoding/json"
	"time"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/list"
)

// DeliveryBody is a delivery as lists show it.
type DeliveryBody struct {
	ID            string     `json:"id"`
	EndpointID    string     `json:"endpointId"`
	EventID       string     `json:"eventId"`
	Type          string     `json:"type"`
	Status        State      `json:"status" enum:"waiting,succeeded,failed"`
	Attempts      int        `json:"attempts"`
	NextAttemptAt *time.Time `json:"nextAttemptAt"`
	CreatedAt     time.Time  `json:"createdAt"`
}

func showDelivery(d Delivery) DeliveryBody {
	return DeliveryBody{d.ID, d.EndpointID, d.EventID, d.Type, d.State, d.Attempts, optional(d.NextAttemptAt), d.CreatedAt}
}

// FilterInput narrows a list of deliveries.
type FilterInput struct {
	PageInput
	Status string `query:"status" enum:"waiting,succeeded,failed"`
	Type   string `query:"type" maxLength:"64"`
}

type deliveriesInput struct {
	IDInput
	FilterInput
}

type deliveriesOutput struct{ Body list.Page[DeliveryBody] }

func (a API) deliveries(ctx context.Context, in *deliveriesInput) (*deliveriesOutput, error) {
	actor, err := access.From(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := a.Webhooks.ByID(ctx, actor.UserID, in.ID); err != nil {
		return nil, err
	}
	return a.page(ctx, in.FilterInput, Filter{User: actor.UserID, Endpoint: in.ID})
}

func (a API) page(ctx context.Context, in FilterInput, f Filter) (*deliveriesOutput, error) {
	f.State, f.Type = in.Status, in.Type
	page, err := list.Make(a.Cursors, "webhook deliveries", in.Cursor, in.Limit, showDelivery, func(d Delivery) string { return d.ID },
		func(before string, limit int) ([]Delivery, error) {
			f.Before = before
			return a.Webhooks.Deliveries(ctx, f, limit)
		})
	return &deliveriesOutput{page}, err
}

type deliveryOutput struct {
	Body struct {
		ID            string          `json:"id"`
		EndpointID    string          `json:"endpointId"`
		EventID       string          `json:"eventId"`
		Type          string          `json:"type"`
		Status        State           `json:"status" enum:"waiting,succeeded,failed"`
		NextAttemptAt *time.Time      `json:"nextAttemptAt"`
		CreatedAt     time.Time       `json:"createdAt"`
		Body          json.RawMessage `json:"body" doc:"As it is sent"`
		Attempts      []attemptBody   `json:"attempts"`
	}
}

type attemptBody struct {
	At        time.Time `json:"at"`
	Status    int       `json:"status" doc:"0: no answer"`
	LatencyMS int64     `json:"latencyMs"`
	Response  string    `json:"response" doc:"The first 4 KiB of the answer, or why there is none"`
}

func (a API) delivery(ctx context.Context, in *IDInput) (*deliveryOutput, error) {
	actor, err := access.From(ctx)
	if err != nil {
		return nil, err
	}
	d, body, attempts, err := a.Webhooks.Delivery(ctx, actor.UserID, in.ID)
	if err != nil {
		return nil, err
	}
	out := &deliveryOutput{}
	b := &out.Body
	b.ID, b.EndpointID, b.EventID, b.Type, b.Status = d.ID, d.EndpointID, d.EventID, d.Type, d.State
	b.NextAttemptAt, b.CreatedAt, b.Body, b.Attempts = optional(d.NextAttemptAt), d.CreatedAt, body, []attemptBody{}
	for _, t := range attempts {
		b.Attempts = append(b.Attempts, attemptBody{t.At, t.Status, t.Latency.Milliseconds(), t.Response})
	}
	return out, nil
}

type replayOutput struct{ Body DeliveryBody }

func (a API) replay(ctx context.Context, in *IDInput) (*replayOutput, error) {
	actor, err := access.From(ctx)
	if err != nil {
		return nil, err
	}
	d, err := a.Webhooks.Replay(ctx, actor.UserID, in.ID)
	return &replayOutput{showDelivery(d)}, err
}

type replayFailedInput struct {
	IDInput
	Body struct {
		Since time.Time `json:"since,omitzero" required:"false" doc:"Default: all that the log has"`
	}
}

type replayFailedOutput struct {
	Body struct {
		Replayed int64 `json:"replayed"`
	}
}

func (a API) replayFailed(ctx context.Context, in *replayFailedInput) (*replayFailedOutput, error) {
	actor, err := access.From(ctx)
	if err != nil {
		return nil, err
	}
	out := &replayFailedOutput{}
	out.Body.Replayed, err = a.Webhooks.ReplayFailed(ctx, actor.UserID, in.ID, in.Body.Since)
	return out, err
}

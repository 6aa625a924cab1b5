package setting

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/approval"
)

// edit is a change of a category, as it is made at once or waits for an
// approval.
type edit struct {
	Category string                     `json:"category"`
	Onto     int64                      `json:"onto"` // the version that was read
	Values   map[string]json.RawMessage `json:"values"`
	Version  int64                      `json:"version,omitempty"` // an earlier one that is brought back
}

type changedOutput struct {
	Status int
	ETag   string `header:"ETag"`
	Body   changedBody
}

type changedBody struct {
	Body
	ApprovalID string          `json:"approvalId,omitempty" doc:"Of a change that somebody else has to approve (202)"`
	Status     approval.Status `json:"status,omitempty" enum:"pending,approved,denied,cancelled,expired"`
}

// make makes a change, or asks a second person to agree.
func (a AdminAPI) make(ctx context.Context, e edit, reason string) (*changedOutput, error) {
	out := &changedOutput{Status: http.StatusOK}
	var c Category
	var err error
	if a.Settings.guards(e.Category, e.Values) {
		r, asked := a.change.Ask(ctx, approval.Wish[edit]{Type: "settings", For: e.Category, Reason: reason, Input: e})
		if asked != nil {
			return nil, asked
		}
		out.Status, out.Body.ApprovalID, out.Body.Status = http.StatusAccepted, r.ID, r.Status
		c, err = a.Settings.Category(e.Category)
	} else {
		c, err = a.apply(ctx, e, reason)
	}
	if err != nil {
		return nil, err
	}
	out.ETag, out.Body.Body = tag(c.Version), show(c)
	return out, nil
}

func (a AdminAPI) apply(ctx context.Context, e edit, reason string) (Category, error) {
	actor, err := access.From(ctx)
	if err != nil {
		return Category{}, err
	}
	by := Who{actor.UserID, reason}
	if e.Version == 0 {
		return a.Settings.Put(ctx, e.Category, e.Onto, e.Values, by)
	}
	if _, onto, err := a.Settings.old(ctx, e.Category, e.Version); err != nil || onto != e.Onto {
		if err == nil {
			err = ErrEdited
		}
		return Category{}, err
	}
	return a.Settings.Restore(ctx, e.Category, e.Version, by)
}

// changes is the operation of what a second person agrees to. The version that
// was read is frozen with it, so a change in between refuses it.
func (a AdminAPI) changes() approval.Definition[edit] {
	return approval.Definition[edit]{
		Name: "settings.edit", Permission: access.EditSettings,
		Check: func(ctx context.Context, _ approval.Request, e edit) error {
			if e.Version > 0 {
				return nil
			}
			_, err := a.Settings.checked(ctx, e.Category, e.Onto, e.Values)
			return err
		},
		Run: func(ctx context.Context, r approval.Request, e edit) (any, error) {
			_, err := a.apply(ctx, e, r.Reason)
			return map[string]any{"category": e.Category, "version": e.Onto + 1}, err
		},
	}
}

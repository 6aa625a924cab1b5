package subscription

import (
	"context"
	"fmt"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/money"
)

type reverseInput struct {
	IDInput
	Body struct {
		Reason string `json:"reason" minLength:"10" maxLength:"500"`
	}
}

type reverseOutput struct {
	Location string `header:"Location"`
	Body     ReversalBody
}

// ReversalBody is the mirror of a change of plan that was taken back.
type ReversalBody struct {
	ProrationBody
	Uncollected money.Credits `json:"uncollectedCredits" doc:"Of what the change had given: used up, so it could not be taken"`
}

func (a AdminAPI) reverse(ctx context.Context, in *reverseInput) (*reverseOutput, error) {
	actor, err := access.From(ctx)
	if err != nil {
		return nil, err
	}
	r, err := a.Plans.ReverseProration(ctx, in.ID, Why{Actor: actor.UserID, Reason: in.Body.Reason, Admin: true})
	if err != nil {
		return nil, err
	}
	return &reverseOutput{"/admin/prorations/" + r.ID, ReversalBody{showProration(r.Record), r.Uncollected}}, nil
}

// mirrored are the lines of a record that takes another back.
func (r Record) mirrored() []StepRow {
	same := func(name, line string, result int64) StepRow {
		return StepRow{name, "the " + line + " of " + r.Reverses, "", fmt.Sprint(result)}
	}
	return []StepRow{
		same("credit", "charge", r.Credit), same("charge", "credit", r.Charge),
		{"net", "charge - credit", fmt.Sprintf("%d - %d", r.Charge, r.Credit), fmt.Sprint(r.Net)},
		{"extraCredits", "taken back of what " + r.Reverses + " gave, as far as it was there", "", (-r.Extra).String()},
	}
}

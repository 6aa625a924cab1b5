package branding

import (
	"context"
	"time"

	"github.com/rephlo/rephlo/internal/list"
)

type feedbackBody struct {
	ID        string     `json:"id"`
	UserID    *string    `json:"userId"`
	Message   string     `json:"message"`
	Email     *string    `json:"email"`
	Status    string     `json:"status" enum:"new,read,done"`
	CreatedAt time.Time  `json:"createdAt"`
	RepliedAt *time.Time `json:"repliedAt"`
}

func showFeedback(f Feedback) feedbackBody {
	return feedbackBody{f.ID, textOrNull(f.UserID), f.Message, textOrNull(f.Email), f.Status, f.CreatedAt, optional(f.RepliedAt)}
}

type feedbacksInput struct {
	PageInput
	Status string `query:"status" enum:"new,read,done"`
}

type feedbacksOutput struct{ Body list.Page[feedbackBody] }

func (a AdminAPI) feedbacks(ctx context.Context, in *feedbacksInput) (*feedbacksOutput, error) {
	page, err := list.Make(a.Cursors, "feedback", in.Cursor, in.Limit, showFeedback, func(f Feedback) string { return f.ID },
		func(before string, limit int) ([]Feedback, error) {
			return a.Branding.Said(ctx, in.Status, before, limit)
		})
	return &feedbacksOutput{page}, err
}

type markInput struct {
	IDInput
	Body struct {
		Status string `json:"status" enum:"new,read,done"`
	}
}

type feedbackAnswer struct{ Body feedbackBody }

func (a AdminAPI) mark(ctx context.Context, in *markInput) (*feedbackAnswer, error) {
	var f Feedback
	err := a.changed(ctx, "feedback.mark", "feedback", in.ID, func(ctx context.Context) (err error) {
		f, err = a.Branding.Mark(ctx, in.ID, in.Body.Status)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &feedbackAnswer{showFeedback(f)}, nil
}

type replyInput struct {
	IDInput
	Body struct {
		Text string `json:"text" minLength:"1" maxLength:"5000"`
	}
}

func (a AdminAPI) reply(ctx context.Context, in *replyInput) (*feedbackAnswer, error) {
	var f Feedback
	err := a.changed(ctx, "feedback.reply", "feedback", in.ID, func(ctx context.Context) (err error) {
		f, err = a.Branding.Reply(ctx, in.ID, in.Body.Text)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &feedbackAnswer{showFeedback(f)}, nil
}

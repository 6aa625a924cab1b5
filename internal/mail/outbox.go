package mail

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/rephlo/rephlo/internal/job"
	"github.com/rephlo/rephlo/internal/seal"
)

// Outbox is a Sender that writes a message beside what it tells of, in the
// transaction that ctx carries, and has a background job deliver it: a mail
// server that is down delays mail, and nothing else. The message is sealed, as
// it may hold a link that signs somebody in, and forgotten once delivered.
type Outbox struct {
	jobs *job.Service
	box  *seal.Box
	to   Sender
}

const (
	jobSend  = "mail.send"
	sealedAs = "mail/outbox"
)

// attempts are those of about 24 hours: after 1, 2, 4 … 32 minutes, then each
// hour.
const attempts = 29

// NewOutbox returns an Outbox that delivers through to.
func NewOutbox(jobs *job.Service, box *seal.Box, to Sender) *Outbox {
	o := &Outbox{jobs, box, to}
	jobs.Handle(jobSend, job.Typed(o.deliver), job.Options{
		Attempts: attempts, AtOnce: 4,
		Pause: func(attempt int) time.Duration { return min(time.Minute<<min(attempt-1, 6), time.Hour) },
	})
	return o
}

// Send implements Sender. It returns when the message is stored.
func (o *Outbox) Send(ctx context.Context, m Message) error {
	plain, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("store mail: %w", err)
	}
	sealed, err := o.box.Seal(plain, sealedAs)
	if err != nil {
		return fmt.Errorf("store mail: %w", err)
	}
	return o.jobs.Enqueue(ctx, job.Order{Kind: jobSend, Argument: sealed})
}

func (o *Outbox) deliver(ctx context.Context, sealed []byte) error {
	plain, err := o.box.Open(sealed, sealedAs)
	if err != nil {
		return job.Permanent(fmt.Errorf("read mail: %w", err))
	}
	var m Message
	if err := json.Unmarshal(plain, &m); err != nil {
		return job.Permanent(errors.New("read mail: it is not a message"))
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	err = o.to.Send(ctx, m)
	if errors.Is(err, errRefused) || errors.Is(err, errHeader) || errors.Is(err, errAddress) {
		return job.Permanent(err)
	}
	return err
}

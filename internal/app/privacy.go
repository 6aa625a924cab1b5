package app

import (
	"context"
	"time"

	"github.com/rephlo/rephlo/internal/account"
	"github.com/rephlo/rephlo/internal/audit"
	"github.com/rephlo/rephlo/internal/identity/authorize"
	"github.com/rephlo/rephlo/internal/impersonate"
	"github.com/rephlo/rephlo/internal/personal"
	"github.com/rephlo/rephlo/internal/privacy"
	"github.com/rephlo/rephlo/internal/trail"
	"github.com/rephlo/rephlo/internal/webhook"
)

// people are the slices that know people, in the order in which they forget
// them: the account is the last, so that an erasure that is cut off is found
// again, and the log knows how to read what is about them until then.
func (s *Server) people(p *identityParts) []personal.Part {
	d := s.domains
	return []personal.Part{
		authorize.Personal{DB: s.core.DB},
		impersonate.Personal{DB: s.core.DB},
		p.grants, p.sessions, p.passkeys, p.federation, d.Factors, d.Keys, d.Webhooks, s.branding,
		d.Plans, d.Limits, d.Credits, d.Usage, d.Captures, d.Roles, d.Trail,
		audit.Personal{Log: s.core.Audit},
		d.Accounts,
	}
}

func (s *Server) newPrivacy(p *identityParts) {
	if s.privacy != nil {
		return
	}
	core, d := s.core, s.domains
	s.privacy = privacy.New(privacy.Needs{
		DB: core.DB, Jobs: core.Jobs, Box: core.Box, Mail: core.Mail, Log: core.Log, Now: core.Now, URL: core.Config.APIURL,
		Parts: s.people(p),
		Person: func(ctx context.Context, userID string) (personal.Person, error) {
			u, err := d.Accounts.ByID(ctx, userID)
			return whoIs(u), err
		},
		Leavers: func(ctx context.Context, limit int) ([]personal.Person, error) {
			users, err := d.Accounts.Leavers(ctx, limit)
			var out []personal.Person
			for _, u := range users {
				out = append(out, whoIs(u))
			}
			return out, err
		},
		Erased: func(ctx context.Context, p personal.Person) error {
			if err := core.Audit.Write(ctx, audit.Change{Action: "users.erase", Type: "user", ID: p.ID, Actor: audit.System}); err != nil {
				return err
			}
			if err := d.Accounts.Forgotten(ctx, p.ID); err != nil || p.Email == "" {
				return err
			}
			return core.Mail.Send(ctx, account.ErasedMail(p.Email))
		},
		Asked: func(ctx context.Context, e privacy.Export) error {
			return d.Trail.Record(ctx, e.UserID, trail.DataExported, e.ID)
		},
		Done: func(ctx context.Context, e privacy.Export) error {
			return d.Webhooks.Emit(ctx, e.UserID, webhook.ExportReady, exportEvent{e.ID, e.ExpiresAt.Truncate(time.Second)})
		},
	})
}

// whoIs names somebody. An address that is not proven may be somebody else's.
func whoIs(u account.User) personal.Person {
	p := personal.Person{ID: u.ID}
	if u.Verified {
		p.Email = u.Email
	}
	return p
}

// exportEvent is an export in an event.
type exportEvent struct {
	ID        string    `json:"id"`
	ExpiresAt time.Time `json:"expiresAt"`
}

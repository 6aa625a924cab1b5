package app

import (
	"context"

	"github.com/rephlo/rephlo/internal/egress"
	"github.com/rephlo/rephlo/internal/identity/grant"
	"github.com/rephlo/rephlo/internal/identity/logout"
	"github.com/rephlo/rephlo/internal/job"
)

// noticeJob tells one client that a user signed out.
const noticeJob = "identity.logout"

// enqueueNotices has every client that got tokens in a sign-in told that it has
// ended, in the transaction that ends it: whoever signs out does not wait for
// the clients.
func (s *Server) enqueueNotices(ctx context.Context, grants *grant.Service, sessionID string) error {
	logins, err := grants.TakeLogins(ctx, sessionID)
	if err != nil {
		return err
	}
	for _, l := range logins {
		err := s.core.Jobs.Enqueue(ctx, job.Order{
			Kind: noticeJob, Key: l.SessionID + " " + l.ClientID,
			Argument: logout.Notice{ClientID: l.ClientID, UserID: l.UserID, SessionID: l.SessionID},
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *Server) handleNotices(p *identityParts, fetcher *egress.Documents) {
	n := logout.Notifier{Issuer: p.server.Issuer, Clients: p.clients, Keys: p.signing, Post: fetcher.Post, Now: s.core.Now}
	s.core.Jobs.Handle(noticeJob, job.Typed(n.Tell), job.Options{Attempts: logout.Attempts, Pause: logout.Pause, AtOnce: 8})
}

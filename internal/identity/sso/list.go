package sso

import (
	"context"
	"strings"
	"time"

	"github.com/rephlo/rephlo/internal/account"
	"github.com/rephlo/rephlo/internal/fault"
)

// ErrUnknown answers for a sign-in that is not the user's, or has ended.
var ErrUnknown = fault.New(fault.NotFound, "not_found", "There is no such sign-in. It may have ended already.")

// Listed is a sign-in as its user sees it.
type Listed struct {
	Session
	Address    string // of the network, at the sign-in
	Agent      string // what the browser called itself
	CreatedAt  time.Time
	LastSeenAt time.Time
}

// Device names the browser and the system of an agent string, as far as people
// care.
func (l Listed) Device() string { return device(l.Agent) }

// List returns a user's live sign-ins, the newest first.
func (s *Service) List(ctx context.Context, userID string) ([]Listed, error) {
	u, err := s.Accounts.Snapshot(ctx, userID)
	if err != nil {
		return nil, err
	}
	all, err := s.store.of(ctx, userID)
	if err != nil {
		return nil, unavailable(err)
	}
	return liveOf(all, u, s.Now()), nil
}

func liveOf(all []Listed, u account.User, now time.Time) []Listed {
	var out []Listed
	for _, l := range all {
		if live(l.Session, u, now) {
			l.CreatedAt, l.LastSeenAt = l.createdAt, l.lastSeenAt
			out = append(out, l)
		}
	}
	return out
}

// EndOwn ends a sign-in of the user. ErrUnknown if it is not theirs.
func (s *Service) EndOwn(ctx context.Context, userID, sessionID string) error {
	list, err := s.List(ctx, userID)
	if err != nil {
		return err
	}
	for _, l := range list {
		if l.ID == sessionID {
			return s.End(ctx, sessionID)
		}
	}
	return ErrUnknown
}

// device looks for the words that browsers have kept for decades. Others go
// first which contain them as well.
func device(agent string) string {
	pick := func(names ...string) string {
		for i := 0; i+1 < len(names); i += 2 {
			if strings.Contains(agent, names[i]) {
				return names[i+1]
			}
		}
		return ""
	}
	browser := pick("Edg/", "Edge", "OPR/", "Opera", "Firefox/", "Firefox", "SamsungBrowser/", "Samsung Internet", "Chrome/", "Chrome", "CriOS/", "Chrome",
		"FxiOS/", "Firefox", "Safari/", "Safari")
	system := pick("iPhone", "iPhone", "iPad", "iPad", "Android", "Android", "Windows", "Windows", "Mac OS X", "Mac", "CrOS", "ChromeOS", "Linux", "Linux")
	switch {
	case browser != "" && system != "":
		return browser + " on " + system
	case browser+system != "":
		return browser + system
	case agent == "":
		return "Unknown device"
	}
	name, _, _ := strings.Cut(agent, " ")
	return name[:min(len(name), 40)]
}

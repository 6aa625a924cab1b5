package app

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/mail"
	"github.com/rephlo/rephlo/internal/setting"
)

// What settings mean where they work.

var errMaintenance = fault.New(fault.Unavailable, "maintenance", "The service is being worked on. Try again in a few minutes.").After(time.Minute)

// open are the paths that answer during maintenance: administrators work there,
// or see why they cannot.
var open = []string{"/admin/", "/health", "/assets/", "/docs", "/setup", "/.well-known/"}

func (c *Core) maintenance(path string) *fault.Error {
	if !setting.Maintenance.Of(c.Settings) || path == "/" || slices.ContainsFunc(open, func(p string) bool { return strings.HasPrefix(path, p) }) {
		return nil
	}
	return errMaintenance
}

func (c *Core) allowedOrigin(origin string) bool {
	return slices.Contains(setting.AllowedOrigins.Of(c.Settings), origin)
}

// days is a setting in days, as the slices take it.
func days(s *setting.Service, k setting.Key[int64]) func() time.Duration {
	return func() time.Duration { return time.Duration(k.Of(s)) * 24 * time.Hour }
}

func (c *Core) testMail(ctx context.Context, to string) error {
	return c.transport.Send(ctx, mail.Message{To: to, Subject: "A test of the mail settings", Text: "If you read this, the mail settings of Rephlo work.\n"})
}

package app

import (
	"context"
	"log/slog"
	"net"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/rephlo/rephlo/internal/config"
	"github.com/rephlo/rephlo/internal/job"
	"github.com/rephlo/rephlo/internal/mail"
	"github.com/rephlo/rephlo/internal/seal"
	"github.com/rephlo/rephlo/internal/setting"
)

// mailer sends as the settings say at the moment: through a queue to the mail
// server, or without one into a folder, which takes mail at once.
type mailer struct {
	transport *transport
	outbox    *mail.Outbox
}

func newMailer(cfg config.Config, settings *setting.Service, jobs *job.Service, box *seal.Box, log *slog.Logger, now func() time.Time) *mailer {
	t := &transport{settings: settings, log: log, folder: mail.NewFolder(filepath.Join(cfg.Data, "mail"), log, now)}
	return &mailer{transport: t, outbox: mail.NewOutbox(jobs, box, t)}
}

// Send implements mail.Sender.
func (m *mailer) Send(ctx context.Context, msg mail.Message) error {
	if setting.MailHost.Of(m.transport.settings) == "" {
		return m.transport.folder.Send(ctx, msg)
	}
	return m.outbox.Send(ctx, msg)
}

// transport delivers now.
type transport struct {
	settings *setting.Service
	log      *slog.Logger
	folder   *mail.Folder

	mu   sync.Mutex
	made mail.Options // guarded by mu: what smtp was made of
	smtp *mail.SMTP   // guarded by mu
}

// Send implements mail.Sender.
func (t *transport) Send(ctx context.Context, msg mail.Message) error {
	if setting.MailHost.Of(t.settings) == "" {
		return t.folder.Send(ctx, msg) // the server was taken away while the message waited
	}
	s, err := t.server()
	if err != nil {
		return err
	}
	return s.Send(ctx, msg)
}

func (t *transport) server() (*mail.SMTP, error) {
	s := t.settings
	o := mail.Options{
		Addr: net.JoinHostPort(setting.MailHost.Of(s), strconv.FormatInt(setting.MailPort.Of(s), 10)),
		User: setting.MailUser.Of(s), Password: setting.MailPassword.Of(s), TLS: mail.TLS(setting.MailTLS.Of(s)), From: setting.MailFrom.Of(s),
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.smtp != nil && t.made == o {
		return t.smtp, nil
	}
	smtp, err := mail.NewSMTP(o, t.log)
	if err != nil {
		return nil, err
	}
	t.made, t.smtp = o, smtp
	return smtp, nil
}

// fixed lists what the environment, a file or an argument decides: it cannot be
// changed while the server runs.
func fixed(cfg config.Config) []setting.Fixed {
	var out []setting.Fixed
	fix := func(category, name string, value any) {
		out = append(out, setting.Fixed{Category: category, Name: name, Value: value})
	}
	given := func(name string) bool { return cfg.Origin(name).Source != config.SourceDefault }
	if given("signup") {
		fix("signup", "open", cfg.Signup == "open")
	}
	if given("allowed_origins") {
		fix("security", "allowedOrigins", cfg.Origins)
	}
	if cfg.SMTPAddr != "" {
		host, text, _ := net.SplitHostPort(cfg.SMTPAddr)
		port, _ := strconv.ParseInt(text, 10, 64) // config has checked both
		fix("email", "host", host)
		fix("email", "port", port)
		fix("email", "user", cfg.SMTPUser)
		fix("email", "password", cfg.SMTPPassword)
		fix("email", "tls", cfg.SMTPTLS)
		fix("email", "from", cfg.MailFrom)
	}
	return out
}

package app

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/rephlo/rephlo/internal/audit"
	"github.com/rephlo/rephlo/internal/bus"
	"github.com/rephlo/rephlo/internal/config"
	"github.com/rephlo/rephlo/internal/job"
	"github.com/rephlo/rephlo/internal/list"
	"github.com/rephlo/rephlo/internal/mail"
	"github.com/rephlo/rephlo/internal/obs"
	"github.com/rephlo/rephlo/internal/seal"
	"github.com/rephlo/rephlo/internal/setting"
	"github.com/rephlo/rephlo/internal/sqldb"
)

// Core is what the server and the commands share. Commands use it while a
// server runs on the same database.
type Core struct {
	Config    config.Config
	Log       *slog.Logger
	Now       func() time.Time
	DB        *sqldb.DB
	Box       *seal.Box
	Bus       *bus.Bus
	Passwords *seal.Passwords
	Jobs      *job.Service
	Mail      mail.Sender
	Settings  *setting.Service
	Cursors   list.Cursors
	Audit     *audit.Log
	Metrics   *obs.Metrics // nil without a server
	Fresh     bool         // there was no database, or an empty one

	transport *transport // of Mail, without its queue
	trusted   atomic.Pointer[trustedNetworks]
}

// NewCore makes the data folder and the keys if there are none, opens the
// database and brings its schema up to date. The caller closes it.
func NewCore(ctx context.Context, cfg config.Config, log *slog.Logger) (*Core, error) {
	return NewCoreThrough(ctx, cfg, log, nil)
}

// NewCoreThrough is NewCore on connections that go through what through
// returns, for what measures the statements; nil is NewCore.
func NewCoreThrough(ctx context.Context, cfg config.Config, log *slog.Logger, through func(driver.Connector) driver.Connector) (*Core, error) {
	if err := writable(cfg.Data); err != nil {
		return nil, err
	}
	key, _, err := cfg.MasterKey()
	if err != nil {
		return nil, err
	}
	box, err := seal.NewBox(key)
	if err != nil {
		return nil, err
	}
	db, err := sqldb.OpenThrough(ctx, cfg.Database(), through)
	if err != nil {
		return nil, err
	}
	steps, err := db.Migrations(ctx)
	fresh := len(steps) > 0 && !steps[0].Applied
	if err == nil {
		err = db.Migrate(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	now := time.Now                                //nolint:forbidigo // the one clock that everything is given
	if _, err := Mail(cfg, log, now); err != nil { // what is configured is checked now
		return nil, errors.Join(err, db.Close())
	}
	messages := bus.New(db, log, now)
	changes := audit.New(audit.Needs{DB: db, Box: box, Log: log, Now: now})
	settings := setting.New(setting.Needs{DB: db, Bus: messages, Box: box, Log: log, Now: now, Fixed: fixed(cfg), Audit: changes})
	if err := settings.Load(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	jobs := job.New(job.Needs{DB: db, Log: log, Now: now, Node: "rephlo"})
	mails := newMailer(cfg, settings, jobs, box, log, now)
	return &Core{
		Config: cfg, Log: log, Now: now, DB: db, Box: box, Fresh: fresh,
		Bus:       messages,
		Settings:  settings,
		transport: mails.transport,
		Audit:     changes,
		Passwords: seal.NewPasswords(),
		Jobs:      jobs,
		Mail:      mails,
		Cursors:   list.NewCursors(box.Subkey("cursor/v1")),
	}, nil
}

// Mail returns what delivers messages: the mail server, or without one a
// folder.
func Mail(cfg config.Config, log *slog.Logger, now func() time.Time) (mail.Sender, error) {
	if cfg.SMTPAddr == "" {
		return mail.NewFolder(filepath.Join(cfg.Data, "mail"), log, now), nil
	}
	return mail.NewSMTP(mail.Options{
		Addr: cfg.SMTPAddr, User: cfg.SMTPUser, Password: cfg.SMTPPassword, TLS: mail.TLS(cfg.SMTPTLS), From: cfg.MailFrom,
	}, log)
}

// Close closes the database.
func (c *Core) Close() error { return c.DB.Close() }

// ErrDataFolder says that the data folder cannot be used.
var ErrDataFolder = errors.New("the data folder cannot be used")

// writable makes dir if it is missing and tries to write into it.
func writable(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("%w: %w; name a folder that this user may write with --data", ErrDataFolder, err)
	}
	f, err := os.CreateTemp(dir, ".probe-*")
	if err != nil {
		return fmt.Errorf("%w: %w; give this user the right to write there, or name another folder with --data", ErrDataFolder, err)
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

package app

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/rephlo/rephlo/internal/branding"
	"github.com/rephlo/rephlo/internal/gateway"
	"github.com/rephlo/rephlo/internal/health"
	"github.com/rephlo/rephlo/internal/idempotency"
	"github.com/rephlo/rephlo/internal/obs"
	"github.com/rephlo/rephlo/internal/privacy"
	"github.com/rephlo/rephlo/internal/setting"
	"github.com/rephlo/rephlo/internal/system"
	"github.com/rephlo/rephlo/internal/web"
)

// Server is both services in one process.
type Server struct {
	core    *Core
	node    string // its name in the database
	lock    *lock
	domains *Domains
	health  *health.Health
	api     *web.Server
	idp     *web.Server
	ops     *web.Server // nil when it is off
	calls   *gateway.Service
	traces  *obs.Tracer // nil where nobody wants them
	parts   *identityParts
	keys    *idempotency.Service

	branding *branding.Service
	privacy  *privacy.Service
	system   *system.Service
	chores   []chore

	routes *web.Mux // of the Resource API, once it has started

	broken bool // set by Wait: nothing can be written, so there is nothing to wait for

	stops  []func(context.Context) error // in the order of starting
	once   sync.Once
	failed error
}

// NewServer opens the ports of core's configuration, without answering yet. It
// fails with ErrInUse when another server works in the same data folder.
func NewServer(ctx context.Context, core *Core) (*Server, error) {
	l, err := lockFolder(core.Config.Data)
	if err != nil {
		return nil, err
	}
	s := &Server{
		core: core, lock: l,
		health: health.New(core.Log, core.Now),
		api:    web.NewServer("Resource API", core.Config.APIAddr, core.Log),
		idp:    web.NewServer("Identity Provider", core.Config.IDPAddr, core.Log),
	}
	core.Metrics = obs.NewMetrics(Version())
	if err := errors.Join(s.api.Listen(ctx), s.idp.Listen(ctx), s.listenOps(ctx)); err != nil {
		s.stopOps(ctx)
		return nil, errors.Join(err, s.api.Stop(ctx), s.idp.Stop(ctx), l.release())
	}
	core.Config = core.Config.Listening(s.api.Addr(), s.idp.Addr())
	core.Config.APIAddr, core.Config.IDPAddr = s.api.Addr(), s.idp.Addr()
	if err := l.announce(core.Config); err != nil {
		s.stopOps(ctx)
		return nil, errors.Join(err, s.api.Stop(ctx), s.idp.Stop(ctx), l.release())
	}
	return s, nil
}

// Start loads what the services keep in memory, resolves what a killed
// predecessor left in the ledger, and begins to answer. After an error, Stop.
func (s *Server) Start(ctx context.Context) error {
	node, err := nodeName(s.core.Config.Data, s.core.Now())
	if err != nil {
		return err
	}
	s.node = node
	s.system = system.New(s.core.DB, s.core.Now, node, Version())
	s.domains = NewDomains(s.core, node)
	if err := s.domains.Levels.Load(ctx); err != nil {
		return err
	}
	s.keys = idempotency.New(idempotency.Needs{DB: s.core.DB, Log: s.core.Log, Now: s.core.Now, Box: s.core.Box, User: userOf})
	s.branding = branding.New(branding.Needs{
		DB: s.core.DB, Box: s.core.Box, Log: s.core.Log, Now: s.core.Now, Mail: s.core.Mail, Address: s.domains.addressOf,
		Keep: days(s.core.Settings, setting.DiagnosticsDays),
	})
	s.core.Jobs.Observe(s.core.Metrics)
	s.core.Bus.Observe(s.core.Metrics)
	s.domains.Keys.Observe(s.core.Metrics)
	s.serveOps()
	s.health.Register("database", health.Ping(s.core.DB.Ping))
	api, err := s.newAPI(ctx)
	if err != nil {
		return err
	}
	s.calls.Observe(s.core.Metrics)
	s.domains.Captures.Observe(s.core.Metrics)
	idp, err := s.newIdentity(ctx)
	if err != nil {
		return err
	}
	if err := s.begin(ctx); err != nil {
		return err
	}
	s.routes = api
	s.api.Serve(api)
	s.idp.Serve(idp)
	return nil
}

// begin starts what works in the background, in the order in which the later
// needs the earlier.
func (s *Server) begin(ctx context.Context) error {
	if err := s.system.Beat(ctx); err != nil {
		return err
	}
	s.onStop(s.system.Leave)
	s.chores = append(s.chores, chore{"system.beat", system.Every, s.system.Beat})
	if err := s.core.Bus.Start(ctx); err != nil {
		return err
	}
	s.onStop(func(context.Context) error { s.core.Bus.Stop(); return nil })
	s.core.Settings.Start(ctx)
	s.onStop(func(context.Context) error { s.core.Settings.Stop(); return nil })
	s.domains.Levels.Start(ctx)
	s.onStop(func(context.Context) error { s.domains.Levels.Stop(); return nil })
	if err := s.domains.Limits.Load(ctx); err != nil {
		return err
	}
	s.domains.Limits.Start(ctx)
	s.onStop(func(context.Context) error { s.domains.Limits.Stop(); return nil })
	if err := s.domains.Credits.Start(ctx); err != nil {
		return err
	}
	s.onStop(s.domains.Credits.Stop)
	s.domains.Keys.Start(ctx)
	s.onStop(func(ctx context.Context) error { s.domains.Keys.Stop(ctx); return nil })
	s.startHousekeeping(ctx)
	s.schedule()
	s.core.Jobs.Start(ctx)
	s.onStop(func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, jobPatience)
		defer cancel()
		s.core.Jobs.Stop(ctx)
		return nil
	})
	return nil
}

// Routes are the routes of the Resource API; nil before Start.
func (s *Server) Routes() *web.Mux { return s.routes }

func (s *Server) onStop(f func(context.Context) error) { s.stops = append(s.stops, f) }

// Stop drains: it reports not ready, waits a moment for load balancers, closes
// the ports, lets running calls finish within the drain time, settles them,
// returns the leases and closes the database. It may be called twice.
func (s *Server) Stop(ctx context.Context) error {
	s.once.Do(func() { s.failed = s.stop(ctx) })
	return s.failed
}

func (s *Server) stop(ctx context.Context) error {
	s.health.Drain()
	patience := s.core.Config.DrainTimeout
	if s.broken {
		patience = 0
	} else if s.calls != nil {
		sleep(ctx, s.core.Config.ShutdownDelay)
	}
	drain, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var errs []error
	var wg sync.WaitGroup
	if s.calls != nil {
		wg.Go(func() { _ = s.calls.Drain(drain) }) // what it had to cut, it has told the clients and settled
	}
	// The gateway ends its streams when the drain time does; what is left then
	// are connections that hang, and they are cut a moment later.
	hang, cancelHang := context.WithTimeout(ctx, patience+5*time.Second)
	defer cancelHang()
	for _, server := range []*web.Server{s.api, s.idp} {
		wg.Go(func() {
			if err := server.Stop(hang); err != nil {
				s.core.Log.WarnContext(ctx, "connections were cut at the stop", "server", server.Name, "err", err)
			}
		})
	}
	wg.Wait()
	for _, v := range slices.Backward(s.stops) {
		errs = append(errs, v(ctx))
	}
	s.stopOps(ctx)
	errs = append(errs, s.core.Close(), s.lock.release())
	return errors.Join(errs...)
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// Wait returns when one of the servers ends by itself or the ledger cannot be
// written any more (credit.ErrBroken), or when ctx does.
func (s *Server) Wait(ctx context.Context) error {
	var err error
	select {
	case <-ctx.Done():
		return nil
	case err = <-s.api.Done():
	case err = <-s.idp.Done():
	case err = <-s.domains.Credits.Failed():
		s.broken = true
		return err
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("serve: %w", err)
}

// SetupLink returns the one-time link for the first administrator, or "" when
// there is one.
func (s *Server) SetupLink(ctx context.Context) (string, error) {
	n, err := s.domains.Accounts.Admins(ctx)
	if err != nil || n > 0 {
		return "", err
	}
	token, err := s.domains.Accounts.SetupToken(ctx)
	if err != nil {
		return "", err
	}
	return s.core.Config.APIURL + "/setup?token=" + token, nil
}

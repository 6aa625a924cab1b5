package catalog

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/rephlo/rephlo/internal/audit"
	"github.com/rephlo/rephlo/internal/bus"
	"github.com/rephlo/rephlo/internal/margin"
	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/seal"
	"github.com/rephlo/rephlo/internal/sqldb"
)

// Needs is what a Service works with.
type Needs struct {
	DB  *sqldb.DB
	Bus *bus.Bus
	Box *seal.Box // seals the providers' keys
	Log *slog.Logger
	Now func() time.Time
	// Audit remembers every change in the transaction that makes it.
	Audit *audit.Log
	// Terms turn vendor prices into the prices that people see.
	Terms func() money.Terms
	Tiers Tiers
	// Margins are the rules of what the prices are multiplied by; nil: as Terms say.
	Margins *margin.Service
	// Providers are the configured ones, in the order in which they are tried.
	Providers []ProviderConfig
}

// Service answers from a snapshot in memory. It is safe for concurrent use.
type Service struct {
	needs   Needs
	store   store
	current atomic.Pointer[snapshot]
	wake    chan struct{} // holds one: look again
	cancel  context.CancelFunc
	done    chan struct{}
}

// retryAfter is how long a reload that failed waits for the next.
const retryAfter = time.Second

// New returns a Service that knows no model until Start has returned.
func New(n Needs) *Service {
	s := &Service{needs: n, store: store{n.DB}, wake: make(chan struct{}, 1)}
	s.current.Store(newSnapshot(nil, nil))
	return s
}

// Start brings the tables in line with the configuration, loads the snapshot
// and keeps it current until Stop. It fails when the configuration is wrong or
// the database cannot be read.
func (s *Service) Start(ctx context.Context) error {
	if err := checkAll(s.needs.Providers); err != nil {
		return err
	}
	s.needs.Bus.Subscribe(Changed, func(string) {
		select {
		case s.wake <- struct{}{}:
		default: // a reload is already asked for
		}
	})
	if err := s.sync(ctx); err != nil {
		return fmt.Errorf("configure providers: %w", err)
	}
	if err := s.load(ctx); err != nil {
		return err
	}
	ctx, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
	s.done = make(chan struct{})
	go s.run(ctx)
	return nil
}

// Stop ends the refreshing and waits for it. It may be called twice.
func (s *Service) Stop() {
	if s.cancel == nil {
		return
	}
	s.cancel()
	<-s.done
}

func (s *Service) run(ctx context.Context) {
	defer close(s.done)
	retry := time.NewTimer(retryAfter)
	defer retry.Stop()
	retry.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		case <-retry.C:
		}
		if err := s.load(ctx); err != nil && ctx.Err() == nil {
			s.needs.Log.WarnContext(ctx, "catalogue reload failed", "err", err)
			retry.Reset(retryAfter)
		}
	}
}

// load replaces the snapshot by what the database has now.
func (s *Service) load(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var t tables
	err := s.needs.DB.ReadTx(ctx, func(ctx context.Context) (err error) {
		t, err = s.store.read(ctx, s.needs.Now())
		return err
	})
	if err != nil {
		return fmt.Errorf("load catalogue: %w", err)
	}
	snap, err := s.assemble(t)
	if err != nil {
		return fmt.Errorf("load catalogue: %w", err)
	}
	s.current.Store(snap)
	return nil
}

// Model returns the model of this id, from memory. Names that nothing has, and
// hidden models, are ErrNotFound with similar names; archived ones ErrRetired.
func (s *Service) Model(id string) (*Model, error) {
	snap := s.current.Load()
	m := snap.models[id]
	switch {
	case m == nil || m.State == StateDraft:
		return nil, snap.unknown(id)
	case m.State == StateArchived:
		return nil, ErrRetired
	}
	return m, nil
}

// Provider returns the provider with the key of this credential if calls may go
// there, else nil, from memory.
func (s *Service) Provider(name string, credential uint64) *Provider {
	return s.current.Load().keys[credentialOf{name, credential}]
}

// KeyOf returns the id of the provider's key with this credential, or "", from
// memory.
func (s *Service) KeyOf(provider string, credential uint64) string {
	if p := s.Provider(provider, credential); p != nil {
		return p.KeyID
	}
	return ""
}

// Models returns the models that people may see, by id, from memory.
func (s *Service) Models() []*Model { return s.current.Load().listed() }

// terms returns by which terms people of a tier pay for m at a moment that is
// not past.
func (s *Service) terms(m *Model, tier string, at time.Time) money.Terms {
	t := s.needs.Terms()
	if s.needs.Margins != nil && m.first.Provider != nil {
		t.Multiplier = s.needs.Margins.Of(margin.Scope{Tier: tier, Provider: m.first.Provider.Name, Model: m.ID}, at).Multiplier
	}
	return t
}

// HasProvider reports whether calls may go to a provider of this name, from
// memory.
func (s *Service) HasProvider(name string) bool {
	for of := range s.current.Load().keys {
		if of.provider == name {
			return true
		}
	}
	return false
}

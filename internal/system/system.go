package system

import (
	"context"
	"time"

	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/sqldb"
)

const (
	// Every is how often Beat is to be called.
	Every  = 10 * time.Second
	silent = 3 * Every
	kept   = 24 * time.Hour
)

// Node is a process that serves.
type Node struct {
	Name, Version     string
	StartedAt, SeenAt time.Time
}

// Service knows the processes. It is safe for concurrent use.
type Service struct {
	db    *sqldb.DB
	store store
	now   func() time.Time
	self  Node
}

// New returns a Service of the process with a name, which other processes on
// the same database do not have.
func New(db *sqldb.DB, now func() time.Time, name, version string) *Service {
	return &Service{db: db, store: store{db}, now: now, self: Node{Name: name, Version: version, StartedAt: now()}}
}

// Beat writes that this process is there, and forgets those that have been gone
// for long.
func (s *Service) Beat(ctx context.Context) error {
	n := s.self
	n.SeenAt = s.now()
	return s.db.InTx(ctx, func(ctx context.Context) error {
		if err := s.store.forget(ctx, n.SeenAt.Add(-kept)); err != nil {
			return err
		}
		return s.store.beat(ctx, n)
	})
}

// Leave writes that this process ends: it is not missed.
func (s *Service) Leave(ctx context.Context) error { return s.store.leave(ctx, s.self.Name) }

// Nodes returns the processes that were seen within a day.
func (s *Service) Nodes(ctx context.Context) ([]Node, error) {
	out, err := s.store.nodes(ctx, s.now().Add(-kept))
	return out, unavailable(err)
}

// ping returns how long the database takes for a trifle.
func (s *Service) ping(ctx context.Context) (time.Duration, error) {
	began := s.now()
	err := s.db.Ping(ctx)
	return s.now().Sub(began), unavailable(err)
}

func unavailable(err error) error {
	if sqldb.IsUnavailable(err) {
		return fault.ErrUnavailable.Because(err)
	}
	return err
}

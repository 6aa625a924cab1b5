package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"sync"
)

// maxStmts bounds the cache of prepared statements; texts are constants, so it
// is never reached by design.
const maxStmts = 2048

// pool is connections to one database, and the statements prepared on them.
type pool struct {
	*sql.DB
	// prepares is true where preparing brings something: pgx keeps prepared
	// statements by itself, modernc's driver does not.
	prepares bool

	mu    sync.RWMutex
	stmts map[string]*sql.Stmt // the texts that have run, guarded by mu
}

func newPool(db *sql.DB, conns int, engine Engine) *pool {
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	return &pool{DB: db, prepares: engine == SQLite, stmts: map[string]*sql.Stmt{}}
}

// stmt returns query prepared, or nil where that brings nothing.
func (p *pool) stmt(ctx context.Context, query string) *sql.Stmt {
	if !p.prepares {
		return nil
	}
	if s := p.known(query); s != nil {
		return s
	}
	// The lock is not held while a connection is waited for: who holds one may
	// be waiting for the lock.
	s, err := p.PrepareContext(ctx, positional(query))
	if err != nil {
		return nil // running the text gives the same error, with its place
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if first := p.stmts[query]; first != nil || len(p.stmts) >= maxStmts {
		_ = s.Close() //nolint:sqlclosecheck // somebody was quicker, or there are too many
		return first
	}
	p.stmts[query] = s
	return s
}

// known returns query if it is prepared already.
func (p *pool) known(query string) *sql.Stmt {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.stmts[query]
}

func (p *pool) close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var errs []error
	for _, s := range p.stmts {
		errs = append(errs, s.Close())
	}
	clear(p.stmts)
	return errors.Join(append(errs, p.Close())...)
}

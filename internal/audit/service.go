package audit

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/seal"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/throttle"
)

// ErrUnknown answers a number that no row has, or that is not the reader's.
var ErrUnknown = fault.New(fault.NotFound, "not_found", "There is no such audit entry.")

// System is who acts when nobody did.
const System = "system"

// Needs is what a Log is made of.
type Needs struct {
	DB  *sqldb.DB
	Box *seal.Box
	Log *slog.Logger
	Now func() time.Time
}

// Log is the audit log. It is safe for concurrent use.
type Log struct {
	db    *sqldb.DB
	box   *seal.Box
	log   *slog.Logger
	now   func() time.Time
	store store
	key   []byte // of the chain
	tags  []byte // of addresses
	marks []byte // of what was forgotten
	often *throttle.Throttle
}

// New returns the Log in a database.
func New(n Needs) *Log {
	return &Log{
		db: n.DB, box: n.Box, log: n.Log, now: n.Now, store: store{n.DB},
		key: n.Box.Subkey("audit/v1"), tags: n.Box.Subkey("audit-address/v1"), marks: n.Box.Subkey("audit-pruned/v1"),
		often: throttle.New(n.Now, time.Minute, false),
	}
}

type originKey struct{}

// origin is where a request came from, and whether something was written for
// it.
type origin struct {
	IP        string `json:"ip,omitempty"`
	Client    string `json:"client,omitempty"`
	requestID string
	written   bool
}

// Write remembers c as the last part of the transaction that ctx carries, or in
// one of its own. When it cannot be remembered the transaction fails. It must
// be called by the goroutine that serves the request. A nil Log, of a program
// without administrators, remembers nothing.
func (l *Log) Write(ctx context.Context, c Change) error {
	if l == nil {
		return nil
	}
	r, o, err := l.prepare(ctx, c)
	if err != nil {
		return err
	}
	if o != nil {
		o.written = true
	}
	return l.db.BeforeCommit(ctx, func(ctx context.Context) error {
		if err := l.append(ctx, r, o, c); err != nil {
			return fmt.Errorf("audit %s: %w", c.Action, err)
		}
		return nil
	})
}

// prepare makes the row but for its place in the chain.
func (l *Log) prepare(ctx context.Context, c Change) (row, *origin, error) {
	r := row{
		at: l.now().UnixMicro(), action: word(c.Action, maxWord), resource: word(c.Type, maxWord), id: word(c.ID, maxWord),
		outcome: string(c.Outcome), reason: word(strings.TrimSpace(c.Reason), 4*maxReason), person: c.Person,
	}
	if r.outcome == "" {
		r.outcome = string(Done)
	}
	a, err := access.From(ctx)
	switch {
	case c.Actor != "":
		r.actor = word(c.Actor, maxWord)
	case err == nil:
		r.actor = a.UserID
	case errors.Is(err, access.ErrNoCredential):
		r.actor = System
	}
	if r.actor == a.UserID {
		r.roles = strings.Join(a.Roles, " ")
	}
	o, _ := ctx.Value(originKey{}).(*origin)
	if o != nil {
		r.requestID, r.ipTag = o.requestID, l.tag(o.IP)
	}
	open, _, err := c.differ()
	if err != nil {
		return r, o, err
	}
	r.changed, err = open.text()
	return r, o, err
}

// append gives r its place and writes it, as the last thing of a transaction.
func (l *Log) append(ctx context.Context, r row, o *origin, c Change) error {
	if o != nil {
		var err error
		if r.origin, err = l.sealFor(ctx, r.actor, o); err != nil {
			return err
		}
	}
	if _, personal, err := c.differ(); err != nil {
		return err
	} else if !personal.empty() {
		if r.personal, err = l.sealFor(ctx, c.Person, personal); err != nil {
			return err
		}
	}
	seq, prev, err := l.store.next(ctx)
	if err != nil {
		return err
	}
	r.seq = seq
	record, err := r.record()
	if err != nil {
		return err
	}
	r.hash = l.link(prev, record)
	if err := l.store.insert(ctx, r); err != nil {
		return err
	}
	return l.store.setHead(ctx, r.hash)
}

// sealedAs names the place of what is sealed under a person's key.
const sealedAs = "audit"

// sealFor seals v under a person's key, which is made when there is none.
func (l *Log) sealFor(ctx context.Context, person string, v any) (string, error) {
	plain, err := canonical(v)
	if err != nil {
		return "", err
	}
	box, err := l.boxOf(ctx, person, true)
	if err != nil {
		return "", err
	}
	sealed, err := box.Seal(plain, sealedAs)
	return base64.RawStdEncoding.EncodeToString(sealed), err
}

// boxOf returns a person's box; nil when their key is gone and none is to be
// made. What is about nobody is under the master key.
func (l *Log) boxOf(ctx context.Context, person string, make bool) (*seal.Box, error) {
	if person == "" || person == System {
		return l.box, nil
	}
	text, err := l.store.personKey(ctx, person)
	if err != nil {
		return nil, err
	}
	if text == "" && !make {
		return nil, nil
	}
	if text == "" {
		sealed, err := l.box.Seal(newKey(), "audit-person:"+person)
		if err != nil {
			return nil, err
		}
		if err := l.store.addPerson(ctx, person, base64.RawStdEncoding.EncodeToString(sealed)); err != nil {
			return nil, err
		}
		if text, err = l.store.personKey(ctx, person); err != nil {
			return nil, err
		}
	}
	sealed, err := base64.RawStdEncoding.DecodeString(text)
	if err != nil {
		return nil, err
	}
	key, err := l.box.Open(sealed, "audit-person:"+person)
	if err != nil {
		return nil, fmt.Errorf("key of %s: %w", person, err)
	}
	return seal.NewBox(key)
}

// Forget destroys a person's key: their addresses, clients and personal fields
// cannot be read any more, and the chain stays whole.
func (l *Log) Forget(ctx context.Context, person string) error {
	return l.store.dropPerson(ctx, person)
}

// open reads what was sealed for a person into v; it stays as it is when their
// key is gone.
func (l *Log) open(ctx context.Context, person, sealed string, v any) error {
	if sealed == "" {
		return nil
	}
	box, err := l.boxOf(ctx, person, false)
	if err != nil || box == nil {
		return err
	}
	b, err := base64.RawStdEncoding.DecodeString(sealed)
	if err == nil {
		b, err = box.Open(b, sealedAs)
	}
	if errors.Is(err, seal.ErrSealed) {
		return nil // of an earlier key
	}
	if err != nil {
		return err
	}
	return json.Unmarshal(b, v)
}

package catalog

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/rephlo/rephlo/internal/audit"
	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/sqldb"
)

// Faults of the administrators' endpoints.
var (
	ErrTaken      = fault.New(fault.Conflict, "conflict", "There is one of this name already. Choose another name.")
	ErrInUse      = fault.New(fault.Conflict, "in_use", "Something still uses this. Change that first.")
	ErrState      = fault.New(fault.Conflict, "invalid_state", "This is not possible in the present state.")
	ErrConfigured = ErrState.Saying("This belongs to the configuration of the process. Change it there, or make one of your own.")
	ErrEdited     = fault.New(fault.PreconditionFailed, "edited_elsewhere", "Somebody has changed this since you read it. Read it again and repeat your change.")

	errField = fault.New(fault.Unprocessable, "validation_error", "A field is wrong.")
)

// wrong is a field that breaks a rule.
func wrong(field, format string, args ...any) error {
	message := fmt.Sprintf(format, args...)
	return errField.Saying("The field %s is wrong: %s.", field, message).At(field).
		With("fields", []map[string]string{{"field": field, "code": "invalid", "message": message}})
}

// By says who makes a change, why, and what they have seen.
type By struct {
	Actor  string // the id of a user, or a word for a program
	Reason string // 10 to 500 characters
	// Seen is the version that the change is based on; empty is any.
	Seen string
}

const (
	leastReason = 10
	mostReason  = 500
)

func (b By) check() error {
	if n := utf8.RuneCountInString(strings.TrimSpace(b.Reason)); n < leastReason || n > mostReason {
		return wrong("reason", "say why in %d to %d characters", leastReason, mostReason)
	}
	return nil
}

// current returns ErrEdited when the version that b has seen is not version.
func (b By) current(version int64) error {
	if b.Seen == "" || b.Seen == "*" || b.Seen == ETag(version) {
		return nil
	}
	return ErrEdited
}

// ETag returns a version as answers carry it.
func ETag(version int64) string { return `"` + strconv.FormatInt(version, 10) + `"` }

// Event is a change that somebody made.
type Event struct {
	ID, Kind, Subject, Action string
	At                        time.Time
	Actor, Reason             string
	Before, After             json.RawMessage // without secrets; null where there is nothing
}

// The kinds of events.
const (
	kindProvider   = "provider"
	kindKey        = "key"
	kindModel      = "model"
	kindAccess     = "access"
	kindParameters = "parameters"
	kindPrice      = "price"
)

// edit is one change of the catalogue, in its transaction.
type edit struct {
	writer
	s    *Service
	have tables
	at   time.Time
	by   By

	version int64 // of the catalogue
	events  int   // that it has remembered
}

// change runs f as the only writer, records what it remembers and announces
// it. Nothing is written when f fails.
func (s *Service) change(ctx context.Context, by By, f func(ctx context.Context, e *edit) error) error {
	if err := by.check(); err != nil {
		return err
	}
	err := s.needs.DB.InTx(ctx, func(ctx context.Context) error {
		version, err := s.store.lock(ctx)
		if err != nil {
			return err
		}
		now := s.needs.Now().UTC().Truncate(time.Microsecond)
		e := &edit{version: version, writer: writer{store: s.store, now: now.UnixMicro()}, s: s, at: now, by: by}
		if e.have, err = s.store.read(ctx, now); err != nil {
			return err
		}
		if err := f(ctx, e); err != nil {
			return err
		}
		if e.err != nil {
			return e.err
		}
		return s.needs.Bus.Publish(ctx, Changed, by.Actor)
	})
	return unavailable(err)
}

// remembered records a change in the transaction that makes it.
func (e *edit) remembered(ctx context.Context, kind, subject, action string, before, after any) error {
	e.events++ // in the order in which they were made, whatever the clock says
	v := Event{ID: fmt.Sprintf("chg_%016d_%04d", e.version, e.events), Kind: kind, Subject: subject, Action: action, Actor: e.by.Actor, Reason: strings.TrimSpace(e.by.Reason)}
	var err error
	if v.Before, err = json.Marshal(before); err != nil {
		return err
	}
	if v.After, err = json.Marshal(after); err != nil {
		return err
	}
	e.remember(ctx, v)
	if e.err != nil {
		return e.err
	}
	return e.s.needs.Audit.Write(ctx, audit.Change{
		Action: "catalog." + kind + "." + action, Type: kind, ID: subject, Reason: v.Reason, Actor: e.by.Actor, Before: before, After: after,
	})
}

// unavailable turns "the database cannot be asked" into its fault.
func unavailable(err error) error {
	if sqldb.IsUnavailable(err) {
		return fault.ErrUnavailable.Because(fmt.Errorf("catalogue: %w", err))
	}
	return err
}

// rows reads the whole catalogue as it is in the database now.
func (s *Service) rows(ctx context.Context) (t tables, err error) {
	err = s.needs.DB.ReadTx(ctx, func(ctx context.Context) error {
		t, err = s.store.read(ctx, s.needs.Now())
		return err
	})
	return t, unavailable(err)
}

// History returns up to limit changes of one subject, newest first, from before
// the one with the given id.
func (s *Service) history(ctx context.Context, kind, subject, before string, limit int) ([]Event, error) {
	events, err := s.store.events(ctx, kind, subject, before, limit)
	return events, unavailable(err)
}

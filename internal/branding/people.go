package branding

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/rephlo/rephlo/internal/id"
	"github.com/rephlo/rephlo/internal/mail"
)

// Say keeps feedback and returns its id.
func (s *Service) Say(ctx context.Context, f Feedback) (string, error) {
	if f.Email != "" {
		if err := checkEmail(f.Email); err != nil {
			return "", err
		}
	}
	f.ID, f.Status, f.CreatedAt = id.New("fb", s.now()), "new", s.now()
	f.Message = strings.ReplaceAll(f.Message, "\x00", "") // PostgreSQL has no such text
	return f.ID, s.store.addFeedback(ctx, f)
}

// Said returns up to limit feedbacks, the newest first, with a status if any.
func (s *Service) Said(ctx context.Context, status, before string, limit int) ([]Feedback, error) {
	return s.store.feedbacks(ctx, status, before, limit)
}

// Mark gives feedback another status.
func (s *Service) Mark(ctx context.Context, id, status string) (Feedback, error) {
	if err := s.store.mark(ctx, id, status); err != nil {
		return Feedback{}, err
	}
	return s.store.feedback(ctx, id)
}

// Reply answers feedback by mail: to the address that was left, or else to that
// of the user who was signed in. ErrNoAddress: there is neither.
func (s *Service) Reply(ctx context.Context, id, text string) (Feedback, error) {
	f, err := s.store.feedback(ctx, id)
	if err != nil {
		return f, err
	}
	to := f.Email
	if to == "" && f.UserID != "" {
		if to, err = s.Address(ctx, f.UserID); err != nil {
			return f, err
		}
	}
	if to == "" {
		return f, ErrNoAddress
	}
	err = s.DB.InTx(ctx, func(ctx context.Context) error {
		if err := s.store.replied(ctx, id, s.now()); err != nil {
			return err
		}
		return s.Mail.Send(ctx, mail.Message{To: to, Subject: "Your feedback", Text: text + "\n\nYou wrote:\n\n" + quoted(f.Message) + "\n"})
	})
	f.Status, f.RepliedAt = "done", s.now()
	return f, err
}

func quoted(text string) string { return "> " + strings.ReplaceAll(text, "\n", "\n> ") }

// Send keeps a diagnostic file and returns it; its id is the reference that the
// sender tells. ErrLarge, ErrType and ErrFull refuse it.
func (s *Service) Send(ctx context.Context, user, note, name string, data []byte) (Diagnostic, error) {
	if len(data) > maxDiagnostic {
		return Diagnostic{}, ErrLarge
	}
	kind, err := kindOf(name, data)
	if err != nil {
		return Diagnostic{}, err
	}
	stored, err := s.store.storedBytes(ctx)
	if err != nil {
		return Diagnostic{}, err
	}
	if stored+int64(len(data)) > maxStored {
		return Diagnostic{}, ErrFull
	}
	life := diagnosticLife
	if s.Keep != nil {
		life = s.Keep()
	}
	sum := sha256.Sum256(data)
	now := s.now()
	d := Diagnostic{
		ID: id.New("diag", now), UserID: user, Note: shorten(note), Kind: kind, Size: int64(len(data)), SHA256: hex.EncodeToString(sum[:]),
		CreatedAt: now, ExpiresAt: now.Add(life),
	}
	sealed, err := s.Box.Seal(data, place(d.ID))
	if err != nil {
		return Diagnostic{}, fmt.Errorf("seal diagnostics: %w", err)
	}
	return d, s.DB.InTx(ctx, func(ctx context.Context) error {
		if err := s.store.addDiagnostic(ctx, d); err != nil {
			return err
		}
		return s.store.addFile(ctx, d.ID, sealed)
	})
}

func place(id string) string { return "branding/diagnostic/" + id }

// shorten returns text as it is kept.
func shorten(text string) string {
	text = strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "")
	if utf8.RuneCountInString(text) > maxNote {
		text = string([]rune(text)[:maxNote])
	}
	return text
}

// Diagnostics returns up to limit of them, the newest first, before an id if
// any.
func (s *Service) Diagnostics(ctx context.Context, before string, limit int) ([]Diagnostic, error) {
	return s.store.diagnostics(ctx, before, limit, s.now())
}

// Diagnostic returns one; fault.ErrNotFound when there is none.
func (s *Service) Diagnostic(ctx context.Context, id string) (Diagnostic, error) {
	return s.store.diagnostic(ctx, id, s.now())
}

// File returns the bytes that were sent.
func (s *Service) File(ctx context.Context, id string) (Diagnostic, []byte, error) {
	d, err := s.Diagnostic(ctx, id)
	if err != nil {
		return d, nil, err
	}
	sealed, err := s.store.file(ctx, id)
	if err != nil {
		return d, nil, err
	}
	data, err := s.Box.Open(sealed, place(id))
	if err != nil {
		return d, nil, fmt.Errorf("read diagnostics %s: %w", id, err)
	}
	return d, data, nil
}

// Forget deletes a diagnostic with its bytes.
func (s *Service) Forget(ctx context.Context, id string) error {
	return s.DB.InTx(ctx, func(ctx context.Context) error {
		if _, err := s.Diagnostic(ctx, id); err != nil {
			return err
		}
		return s.store.forget(ctx, id)
	})
}

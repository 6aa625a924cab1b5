package privacy

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/id"
	"github.com/rephlo/rephlo/internal/job"
	"github.com/rephlo/rephlo/internal/mail"
	"github.com/rephlo/rephlo/internal/personal"
)

// errOvertaken says that another run writes the export, or that it is gone.
var errOvertaken = errors.New("another run writes this export")

// handle is the job that writes an export.
func (s *Service) handle(ctx context.Context, t job.Task) error {
	err := job.Typed(s.write)(ctx, t)
	switch {
	case errors.Is(err, errOvertaken):
		return nil
	case err != nil && t.Attempt >= attempts:
		return errors.Join(err, s.fail(ctx, t))
	}
	return err
}

func (s *Service) fail(ctx context.Context, t job.Task) error {
	e, err := s.store.byID(ctx, t.Key)
	if err != nil {
		return err
	}
	e.State, e.ExpiresAt = Failed, s.Now().Add(fileLife)
	_, err = s.store.finish(ctx, e)
	return err
}

// write writes the export with this id, from the beginning.
func (s *Service) write(ctx context.Context, exportID string) error {
	e, err := s.store.byID(ctx, exportID)
	if errors.Is(err, ErrUnknown) || err == nil && e.State != Waiting {
		return nil // replaced, or done
	}
	if err != nil {
		return err
	}
	e.run = id.New("run", s.Now())
	began := false
	err = s.DB.InTx(ctx, func(ctx context.Context) (err error) { began, err = s.store.begin(ctx, e.ID, e.run); return err })
	if err != nil || !began {
		return err
	}
	p, err := s.Person(ctx, e.UserID)
	if err != nil {
		return err
	}
	file := &pieces{ctx: ctx, s: s, e: e}
	// One snapshot for all sheets in both forms. The pieces are written outside of
	// it.
	err = s.DB.ReadTx(ctx, func(read context.Context) error { return s.archive(read, file, p) })
	if err == nil {
		err = file.Close()
	}
	if err != nil {
		return err
	}
	return s.finish(ctx, e, p, file.size)
}

// finish makes the file available and tells its owner.
func (s *Service) finish(ctx context.Context, e Export, p personal.Person, size int64) error {
	e.State, e.Size, e.ExpiresAt = Ready, size, s.Now().UTC().Add(fileLife).Truncate(time.Microsecond)
	return s.DB.InTx(ctx, func(ctx context.Context) error {
		done, err := s.store.finish(ctx, e)
		if err != nil {
			return err
		}
		if !done {
			return errOvertaken
		}
		if err := s.Done(ctx, e); err != nil {
			return err
		}
		if p.Email == "" {
			return nil // they have no proven address, and see it where they asked
		}
		return s.Mail.Send(ctx, readyMail(p.Email, s.page(e.ID)))
	})
}

// page is the address that the mail names; file that of the bytes.
func (s *Service) page(exportID string) string {
	return s.URL + "/exports/" + exportID + "?key=" + s.key(exportID)
}

func (s *Service) file(exportID string) string {
	return s.URL + "/exports/" + exportID + "/file?key=" + s.key(exportID)
}

func readyMail(to, link string) mail.Message {
	return mail.Message{To: to, Subject: "Your data is ready", Text: `Hello,

the export of your data that you asked for is ready. Open this link and press the
button to download it:

` + link + `

The file is deleted after 24 hours. Whoever has the link can read it, so do not
pass it on. If you did not ask for an export, change your password and end all
other sign-ins.
`}
}

// pieceSize is how much is in memory at a time.
const pieceSize = 256 << 10

// maxPieces bounds a file to 4 GiB.
const maxPieces = 4 << 30 / pieceSize

// pieces is the file of an export as it is written.
type pieces struct {
	ctx  context.Context
	s    *Service
	e    Export
	buf  []byte
	n    int64
	size int64
}

// Write implements io.Writer.
func (p *pieces) Write(b []byte) (int, error) {
	written := len(b)
	for len(b) > 0 {
		n := min(pieceSize-len(p.buf), len(b))
		p.buf, b = append(p.buf, b[:n]...), b[n:]
		if len(p.buf) == pieceSize {
			if err := p.flush(); err != nil {
				return 0, err
			}
		}
	}
	return written, nil
}

// Close writes what is left.
func (p *pieces) Close() error {
	if len(p.buf) == 0 {
		return nil
	}
	return p.flush()
}

var errLarge = fault.New(fault.TooLarge, "request_too_large", "The export is larger than 4 GiB.")

func (p *pieces) flush() error {
	if p.n >= maxPieces {
		return job.Permanent(errLarge)
	}
	sealed, err := p.s.Box.Seal(p.buf, place(p.e, p.n))
	if err != nil {
		return fmt.Errorf("seal a piece of an export: %w", err)
	}
	written, err := p.s.store.addChunk(p.ctx, p.e, p.n, sealed)
	if err != nil {
		return err
	}
	if !written {
		return errOvertaken
	}
	p.size += int64(len(p.buf))
	p.n++
	p.buf = p.buf[:0]
	return nil
}

// place binds a piece to where it is.
func place(e Export, n int64) string {
	return "privacy/" + e.ID + "/" + e.run + "/" + strconv.FormatInt(n, 10)
}

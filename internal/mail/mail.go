// Package mail sends messages to people. Without an SMTP server they land in a
// folder of the data directory, one file each, so that a fresh install is
// usable and tests can read them.
package mail

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"mime"
	"mime/quotedprintable"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/rephlo/rephlo/internal/id"
)

// Message is plain text to one person.
type Message struct {
	To      string // an address without a name
	Subject string
	Text    string
}

// Sender delivers messages. It is safe for concurrent use.
type Sender interface {
	Send(ctx context.Context, m Message) error
}

var errHeader = errors.New("a line break in the address or subject of a message")

// Folder writes each message to a file in RFC 5322 form, readable by its
// owner only: it may hold a link that signs somebody in.
type Folder struct {
	dir string
	log *slog.Logger
	now func() time.Time

	mu   sync.Mutex
	last time.Time // guarded by mu
}

// NewFolder returns a Folder that makes dir when the first message comes.
func NewFolder(dir string, log *slog.Logger, now func() time.Time) *Folder {
	return &Folder{dir: dir, log: log, now: now}
}

// next returns a time for the name of a message: names sort in the order in which
// the messages were sent, and count in milliseconds.
func (f *Folder) next(now time.Time) time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	if now.Sub(f.last) < time.Millisecond {
		now = f.last.Add(time.Millisecond)
	}
	f.last = now
	return now
}

// Send implements Sender. The log says which file holds the message, not to
// whom it goes.
func (f *Folder) Send(ctx context.Context, m Message) error {
	if strings.ContainsAny(m.To+m.Subject, "\r\n") {
		return errHeader // RFC 5322 section 2.2: a break would begin another field
	}
	if err := os.MkdirAll(f.dir, 0o700); err != nil {
		return fmt.Errorf("write mail: %w", err)
	}
	now := f.now().UTC()
	name := id.New("mail", f.next(now))
	var b bytes.Buffer
	fmt.Fprintf(&b, "To: %s\r\nSubject: %s\r\nDate: %s\r\nMessage-ID: <%s@rephlo>\r\n", m.To,
		mime.QEncoding.Encode("utf-8", m.Subject), now.Format(time.RFC1123Z), name)
	b.WriteString("MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n")
	w := quotedprintable.NewWriter(&b)
	_, err := w.Write([]byte(m.Text))
	path := filepath.Join(f.dir, name+".eml")
	if err := errors.Join(err, w.Close(), os.WriteFile(path, b.Bytes(), 0o600)); err != nil {
		return fmt.Errorf("write mail: %w", err)
	}
	f.log.InfoContext(ctx, "mail written to a file, as no SMTP server is configured", "file", path)
	return nil
}

package mail_test

import (
	"io"
	"log/slog"
	"mime/quotedprintable"
	netmail "net/mail"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/mail"
)

func TestFolderWritesMessagesThatMailProgramsRead(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "mail")
	f := mail.NewFolder(dir, slog.New(slog.NewTextHandler(t.Output(), nil)), time.Now)
	text := "Grüße,\nhttps://id.test/verify?token=abc=def\n"
	if err := f.Send(t.Context(), mail.Message{To: "ada@example.com", Subject: "Bestätigen", Text: text}); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.eml"))
	if err != nil || len(files) != 1 {
		t.Fatalf("%d files, %v; want 1", len(files), err)
	}
	file, err := os.Open(files[0])
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	m, err := netmail.ReadMessage(file)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(quotedprintable.NewReader(m.Body))
	if err != nil || string(body) != "Grüße,\r\nhttps://id.test/verify?token=abc=def\r\n" && string(body) != text {
		t.Errorf("body %q, %v", body, err)
	}
	if m.Header.Get("To") != "ada@example.com" {
		t.Errorf("header %v", m.Header)
	}
}

func TestHeadersCannotBeInjected(t *testing.T) {
	t.Parallel()
	f := mail.NewFolder(t.TempDir(), slog.New(slog.DiscardHandler), time.Now)
	for _, m := range []mail.Message{{To: "a@b\r\nBcc: c@d"}, {To: "a@b", Subject: "x\ny"}} {
		if err := f.Send(t.Context(), m); err == nil {
			t.Errorf("%q was accepted", m)
		}
	}
}

// The newest of two messages that were sent in one moment is found by its name.
func TestFilesSortInTheOrderOfSending(t *testing.T) {
	t.Parallel()
	dir, at := t.TempDir(), time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	f := mail.NewFolder(dir, slog.New(slog.DiscardHandler), func() time.Time { return at })
	for i := range 20 {
		if err := f.Send(t.Context(), mail.Message{To: "a@b.test", Subject: string(rune('a' + i))}); err != nil {
			t.Fatal(err)
		}
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.eml"))
	if err != nil || len(files) != 20 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for i, name := range files {
		text, err := os.ReadFile(name)
		if want := "Subject: " + string(rune('a'+i)) + "\r\n"; err != nil || !strings.Contains(string(text), want) {
			t.Errorf("file %d is not the one with %q: %v", i, want, err)
		}
	}
}

package mail_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"mime"
	"net"
	netmail "net/mail"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"github.com/rephlo/rephlo/internal/mail"
	"github.com/rephlo/rephlo/internal/secret"
)

const password = "planted-mail-password"

// post is a real mail server that keeps what it gets.
type post struct {
	addr string
	err  error // refuses every recipient

	mu       sync.Mutex
	messages []string // guarded by mu: the data, after "FROM TO"
	signedIn int      // guarded by mu
}

type session struct {
	p        *post
	from, to string
}

func (p *post) NewSession(*smtp.Conn) (smtp.Session, error) { return &session{p: p}, nil }

func (s *session) AuthMechanisms() []string { return []string{sasl.Plain} }

func (s *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, pass string) error {
		if user != "rephlo" || pass != password {
			return smtp.ErrAuthFailed
		}
		s.p.mu.Lock()
		defer s.p.mu.Unlock()
		s.p.signedIn++
		return nil
	}), nil
}

func (s *session) Mail(from string, _ *smtp.MailOptions) error { s.from = from; return nil }
func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error   { s.to = to; return s.p.err }
func (s *session) Reset()                                      {}
func (s *session) Logout() error                               { return nil }

func (s *session) Data(r io.Reader) error {
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	s.p.messages = append(s.p.messages, s.from+" "+s.to+"\n"+string(b))
	return nil
}

func newPost(t *testing.T, config *tls.Config) *post {
	t.Helper()
	p := &post{}
	s := smtp.NewServer(p)
	s.Domain, s.AllowInsecureAuth, s.TLSConfig = "localhost", true, config
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p.addr = l.Addr().String()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Serve(l)
	}()
	t.Cleanup(func() {
		_ = s.Close()
		<-done
	})
	return p
}

func sender(t *testing.T, o mail.Options, log *slog.Logger) *mail.SMTP {
	t.Helper()
	s, err := mail.NewSMTP(o, log)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestMessagesReachAMailServer(t *testing.T) {
	t.Parallel()
	p := newPost(t, nil)
	var log bytes.Buffer
	s := sender(t, mail.Options{
		Addr: p.addr, User: "rephlo", Password: secret.New(password), TLS: mail.NoTLS, From: "Rephlo <no-reply@rephlo.test>",
	}, slog.New(slog.NewTextHandler(&log, nil)))
	if err := s.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	text := "Grüße,\nhttps://id.test/verify?token=abc=def\n"
	if err := s.Send(t.Context(), mail.Message{To: "ada@example.com", Subject: "Bestätigen", Text: text}); err != nil {
		t.Fatal(err)
	}
	if len(p.messages) != 1 || p.signedIn != 2 {
		t.Fatalf("%d messages, signed in %d times", len(p.messages), p.signedIn)
	}
	envelope, data, _ := strings.Cut(p.messages[0], "\n")
	if envelope != "no-reply@rephlo.test ada@example.com" {
		t.Errorf("envelope %q", envelope)
	}
	m, err := netmail.ReadMessage(strings.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	if subject, _ := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject")); subject != "Bestätigen" || m.Header.Get("Message-Id") == "" {
		t.Errorf("header %v", m.Header)
	}
	if strings.Contains(log.String(), "ada@") || strings.Contains(log.String(), password) {
		t.Errorf("the log tells too much: %s", log.String())
	}
}

func TestAMailServerThatRefuses(t *testing.T) {
	t.Parallel()
	message := mail.Message{To: "ada@example.com", Subject: "x", Text: "y"}
	log := slog.New(slog.DiscardHandler)
	p := newPost(t, nil)
	wrong := sender(t, mail.Options{Addr: p.addr, User: "rephlo", Password: secret.New("wrong"), TLS: mail.NoTLS, From: "a@rephlo.test"}, log)
	if err := errors.Join(wrong.Check(t.Context()), wrong.Send(t.Context(), message)); err == nil || strings.Contains(err.Error(), "wrong") {
		t.Errorf("a wrong password: %v", err)
	}
	p.err = &smtp.SMTPError{Code: 550, Message: "ada@example.com does not live here"}
	fine := mail.Options{Addr: p.addr, TLS: mail.NoTLS, From: "a@rephlo.test"}
	err := sender(t, fine, log).Send(t.Context(), message)
	if err == nil || strings.Contains(err.Error(), "ada@") || !strings.Contains(err.Error(), "refused") {
		t.Errorf("a refused recipient: %v", err)
	}
	plain := fine
	plain.TLS = mail.StartTLS
	if err := sender(t, plain, log).Send(t.Context(), message); err == nil || len(p.messages) != 0 {
		t.Errorf("a server without TLS was trusted: %v", err)
	}
	if err := sender(t, fine, log).Send(t.Context(), mail.Message{To: "a@b.test\r\nBcc: c@d.test", Subject: "x"}); err == nil {
		t.Error("a header was injected")
	}
	if err := sender(t, fine, log).Send(t.Context(), mail.Message{To: "nobody", Subject: "x"}); err == nil || strings.Contains(err.Error(), "nobody") {
		t.Errorf("no address: %v", err)
	}
	gone := fine
	gone.Addr = "127.0.0.1:1"
	if err := sender(t, gone, log).Send(t.Context(), message); err == nil {
		t.Error("nobody listened, and the message was sent")
	}
	if _, err := mail.NewSMTP(mail.Options{Addr: "localhost", TLS: mail.StartTLS}, log); err == nil {
		t.Error("an address without a port")
	}
}

// A certificate that nobody vouches for is refused, with both kinds of TLS.
func TestAMailServerWithAnUnknownCertificateIsRefused(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"localhost"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	p := newPost(t, &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}})
	s := sender(t, mail.Options{Addr: p.addr, TLS: mail.StartTLS, From: "a@rephlo.test"}, slog.New(slog.DiscardHandler))
	if err := s.Send(t.Context(), mail.Message{To: "ada@example.com", Subject: "x", Text: "y"}); err == nil || len(p.messages) != 0 {
		t.Errorf("the message was sent: %v", err)
	}
}

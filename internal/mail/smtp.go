package mail

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"

	"github.com/rephlo/rephlo/internal/secret"
)

// TLS says how the connection to a mail server is protected.
type TLS string

// The ways of protection.
const (
	StartTLS TLS = "starttls" // plain at first; a server that offers no TLS is refused
	Implicit TLS = "tls"      // from the first byte, as on port 465
	NoTLS    TLS = "none"     // for a server on the own machine
)

// Options say which mail server messages go through.
type Options struct {
	Addr     string        // host:port
	User     string        // empty: no authentication
	Password secret.String // of User
	TLS      TLS
	From     string // an address, with a name or without
}

// smtpTimeout bounds each exchange with the server.
const smtpTimeout = 10 * time.Second

// SMTP hands messages to a mail server (RFC 5321), one connection for each.
type SMTP struct {
	options Options
	log     *slog.Logger
	client  func() (*gomail.Client, error)
}

// NewSMTP returns a Sender through the server of o. It connects when the first
// message comes.
func NewSMTP(o Options, log *slog.Logger) (*SMTP, error) {
	host, port, err := net.SplitHostPort(o.Addr)
	if err != nil {
		return nil, fmt.Errorf("mail server: %w", err)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil, fmt.Errorf("mail server: %w", err)
	}
	options := []gomail.Option{gomail.WithPort(int(n)), gomail.WithTimeout(smtpTimeout), gomail.WithoutNoop()}
	switch o.TLS {
	case Implicit:
		options = append(options, gomail.WithSSL())
	case NoTLS:
		options = append(options, gomail.WithTLSPolicy(gomail.NoTLS))
	case StartTLS:
		options = append(options, gomail.WithTLSPolicy(gomail.TLSMandatory))
	default:
		return nil, fmt.Errorf("mail server: %q is no way of protection", o.TLS)
	}
	if o.User != "" {
		auth := gomail.SMTPAuthAutoDiscover // only what does not show the password without TLS
		if o.TLS == NoTLS {
			auth = gomail.SMTPAuthPlainNoEnc // it was chosen, for a server on the own machine
		}
		options = append(options, gomail.WithSMTPAuth(auth), gomail.WithUsername(o.User), gomail.WithPassword(o.Password.Reveal()))
	}
	s := &SMTP{options: o, log: log, client: func() (*gomail.Client, error) { return gomail.NewClient(host, options...) }}
	_, err = s.client() // the options are checked now
	return s, err
}

// Send implements Sender. It returns when the server has taken the message. The
// log says that it did, not to whom the message goes.
func (s *SMTP) Send(ctx context.Context, m Message) error {
	if strings.ContainsAny(m.To+m.Subject, "\r\n") {
		return errHeader
	}
	msg := gomail.NewMsg()
	if err := errors.Join(msg.From(s.options.From), msg.To(m.To)); err != nil {
		return errAddress // without the address
	}
	msg.Subject(m.Subject)
	msg.SetDate()
	msg.SetMessageID()
	msg.SetBodyString(gomail.TypeTextPlain, m.Text)
	c, err := s.client()
	if err != nil {
		return fmt.Errorf("send mail: %w", err)
	}
	if err := c.DialAndSendWithContext(ctx, msg); err != nil {
		return fmt.Errorf("send mail: %w", failure(err))
	}
	s.log.InfoContext(ctx, "mail handed to the mail server", "server", s.options.Addr)
	return nil
}

// Check connects and, if there is a user, signs in; it sends nothing.
func (s *SMTP) Check(ctx context.Context) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	if err := c.DialWithContext(ctx); err != nil {
		return failure(err)
	}
	return c.Close()
}

var (
	errAddress = errors.New("an address of the message is not valid")
	errRefused = errors.New("the mail server refused it") // and will again
)

// failure is what a server said, without what it may repeat of the message: an
// address of a person.
func failure(err error) error {
	e, ok := errors.AsType[*gomail.SendError](err)
	if !ok {
		return err
	}
	if e.IsTemp() {
		return fmt.Errorf("the mail server did not take it for now (%s)", e.Reason)
	}
	return fmt.Errorf("%w (%s)", errRefused, e.Reason)
}

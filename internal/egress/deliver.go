package egress

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
)

// Reply is what a server answered to Deliver.
type Reply struct {
	Status int
	Body   []byte // the first bytes
}

// Deliver posts JSON to an address as guarded as Fetch's, within ten seconds,
// and returns any answer, of its body up to limit bytes. An error is an
// ErrDocument that says why there is none, in words that may be shown.
func (d *Documents) Deliver(ctx context.Context, address string, header map[string]string, body []byte, limit int64) (Reply, error) {
	if err := d.Check(address); err != nil {
		return Reply{}, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return Reply{}, badDocument("the address is not valid")
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "Rephlo")
	for name, value := range header {
		r.Header.Set(name, value)
	}
	res, err := d.client.Do(r)
	if err != nil {
		return Reply{}, unanswered(err)
	}
	defer res.Body.Close()
	first, err := io.ReadAll(io.LimitReader(res.Body, limit))
	if err != nil {
		return Reply{}, badDocument("the answer ends too early")
	}
	return Reply{res.StatusCode, first}, nil
}

// Check refuses an address that Fetch, Post and Deliver do not call whatever
// its name stands for: no https, a user in it, an address that is not public.
func (d *Documents) Check(address string) error {
	if !d.allows(address) {
		return badDocument("the address must begin with https")
	}
	u, err := url.Parse(address)
	if err != nil || u.Port() == "0" {
		return badDocument("the address is not valid")
	}
	host := strings.TrimSuffix(u.Hostname(), ".")
	if addr, err := netip.ParseAddr(host); err == nil {
		if d.loopback && addr.Unmap().IsLoopback() {
			return nil
		}
		if check(addr, false) != nil {
			return badDocument("the address is not public")
		}
		return nil
	}
	last := host[strings.LastIndexByte(host, '.')+1:]
	switch {
	case d.loopback && host == "localhost":
		return nil
	case last == "localhost", host == last, strings.Trim(last, "0123456789") == "", strings.HasPrefix(last, "0x"):
		// One word is a name of the local network; a number is an address in
		// a spelling that only some resolvers know.
		return badDocument("the address is not public")
	}
	return nil
}

// unanswered says why a request got no answer, without addresses of networks
// that whoever named the server should not learn.
func unanswered(err error) error {
	var dns *net.DNSError
	var timeout net.Error
	_, certificate := errors.AsType[*tls.CertificateVerificationError](err)
	switch {
	case errors.Is(err, ErrAddress):
		return badDocument("the address is not public")
	case errors.As(err, &dns):
		return badDocument("the name of the server is not known")
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return badDocument("the server does not answer in time")
	case certificate:
		return badDocument("the server's certificate is not valid")
	}
	return fmt.Errorf("%w: the connection fails", ErrDocument)
}

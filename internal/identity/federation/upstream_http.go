package federation

import (
	"errors"
	"io"
	"net/http"
	"time"
)

// Bounds of what a provider may do.
const (
	patience  = 10 * time.Second
	maxAnswer = 1 << 20 // bytes of one answer
	maxField  = 254     // bytes of what is kept of one
)

func newUpstream(p Settings, now func() time.Time) upstream {
	client := &http.Client{
		Timeout: patience, Transport: bounded{http.DefaultTransport},
		// A redirect would send the client secret elsewhere.
		CheckRedirect: func(*http.Request, []*http.Request) error { return errors.New("the provider redirects us") },
	}
	if p.Kind == GitHub {
		return &gitHub{p, client}
	}
	return &openID{settings: p, client: client, now: now}
}

// bounded cuts answers that are too long.
type bounded struct{ http.RoundTripper }

func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := b.RoundTripper.RoundTrip(r)
	if err == nil {
		res.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(res.Body, maxAnswer), res.Body}
	}
	return res, err
}

// short bounds a text of a provider.
func short(s string) string {
	if len(s) > maxField {
		return ""
	}
	return s
}

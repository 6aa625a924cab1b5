package openai

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/rephlo/rephlo/internal/egress"
	"github.com/rephlo/rephlo/internal/llm"
)

var _ llm.Pinger = (*Vendor)(nil)

// pingTimeout is how long a list of models may take.
const pingTimeout = 20 * time.Second

// Ping implements llm.Pinger by GET /models
// (https://platform.openai.com/docs/api-reference/models/list).
func (v *Vendor) Ping(ctx context.Context, to llm.Target) error {
	base := to.BaseURL
	if base == "" {
		base = v.baseURL
	}
	u, err := url.JoinPath(base, "/models")
	if err != nil || base == "" {
		return llm.Fail(llm.UnknownModel, errNoBase)
	}
	t, err := egress.NewTemplate(http.MethodGet, u, to.AllowPrivate,
		egress.Field{Name: "User-Agent", Value: agent}, egress.Field{Name: "Accept", Value: "application/json"},
		egress.Field{Name: "Accept-Encoding", Value: "identity"})
	if err != nil {
		return llm.Fail(llm.UnknownModel, err)
	}
	limit := to.Timeouts
	if limit.Total <= 0 {
		limit.Total = pingTimeout
	}
	res, err := v.client.Do(ctx, egress.Request{Template: t, Header: header(to, llm.Call{}), Timeouts: limit, MaxBody: maxAnswer})
	if err != nil {
		return llm.Broken(err)
	}
	if res.Status != http.StatusOK {
		return v.refused(to, t, res, res.Header("x-request-id"))
	}
	_, err = io.Copy(io.Discard, res.Body) // to its end, so that the connection is kept
	if cerr := res.Body.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return llm.Broken(err)
	}
	return nil
}

package upstream

import (
	"context"
	"io"
	"net/http"
	"time"

	"github.com/rephlo/rephlo/internal/egress"
	"github.com/rephlo/rephlo/internal/llm"
)

// pingTimeout is how long a list of models may take.
const pingTimeout = 20 * time.Second

// Ping gets path, which may have a query, behind the target's base URL, for nothing but to know that it
// answers. An error is a *llm.Failure.
func (c *Client) Ping(ctx context.Context, to llm.Target, path string) error {
	base := to.BaseURL
	if base == "" {
		base = c.protocol.BaseURL
	}
	u, err := address(base, path)
	if err != nil {
		return llm.Fail(llm.UnknownModel, err)
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
	res, err := c.client.Do(ctx, egress.Request{Template: t, Header: c.header(to, llm.Call{}), Timeouts: limit, MaxBody: maxAnswer})
	if err != nil {
		return llm.Broken(err)
	}
	if res.Status != http.StatusOK {
		return c.refused(to, t, res, res.Header(c.protocol.RequestID))
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

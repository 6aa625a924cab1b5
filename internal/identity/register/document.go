package register

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/rephlo/rephlo/internal/egress"
	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/identity/client"
	"github.com/rephlo/rephlo/internal/identity/oauth"
)

// Documents reads what clients publish about themselves: a client ID metadata
// document is the metadata of a registration at the address that is the id. It
// implements client.Documents.
type Documents struct {
	Fetcher *egress.Documents
}

// Client implements client.Documents. The scopes and grants of such a client
// are those of one that registered itself, less the device grant.
func (d Documents) Client(ctx context.Context, id string) (client.Client, time.Duration, error) {
	doc, err := d.fetch(ctx, id)
	if err != nil {
		return client.Client{}, 0, err
	}
	c, said, err := parseDocument(doc.Body)
	if err == nil && said != id {
		err = errMetadata.Saying("client_id must be the address of the document itself")
	}
	return c, doc.MaxAge, err
}

// Keys implements client.Documents.
func (d Documents) Keys(ctx context.Context, uri string) (oauth.KeySet, error) {
	doc, err := d.fetch(ctx, uri)
	if err != nil {
		return oauth.KeySet{}, err
	}
	return oauth.ParseKeySet(doc.Body)
}

func (d Documents) fetch(ctx context.Context, address string) (egress.Document, error) {
	doc, err := d.Fetcher.Fetch(ctx, address)
	switch {
	case errors.Is(err, egress.ErrAddress):
		return doc, errMetadata.Saying("its host is not on the public network").Because(err)
	case err != nil:
		// What the network said stays in the log: it could tell what there is inside.
		message, _, _ := strings.Cut(strings.TrimPrefix(err.Error(), egress.ErrDocument.Error()+": "), ": ")
		return doc, errMetadata.Saying("%s", message).Because(err)
	}
	return doc, nil
}

// parseDocument reads a metadata document. A secret in it is known to
// everybody, so it is refused.
func parseDocument(data []byte) (client.Client, string, error) {
	var secrets struct {
		Secret  *string `json:"client_secret"`
		Expires *int64  `json:"client_secret_expires_at"`
		Method  *string `json:"token_endpoint_auth_method"`
		Name    string  `json:"client_name"`
	}
	if err := decode(data, &secrets); err != nil {
		return client.Client{}, "", err
	}
	switch {
	case secrets.Secret != nil || secrets.Expires != nil:
		return client.Client{}, "", errMetadata.Saying("a published document cannot have a client_secret")
	case secrets.Name == "":
		return client.Client{}, "", errMetadata.Saying("client_name is missing")
	}
	var m struct {
		ID string `json:"client_id"`
		Metadata
	}
	if err := decode(data, &m); err != nil {
		return client.Client{}, "", err
	}
	if secrets.Method == nil {
		m.Method = string(client.AuthNone)
	}
	if len(m.Grants) == 0 {
		m.Grants = []string{client.GrantCode, client.GrantRefresh}
	}
	if slices.Contains(m.Grants, client.GrantDevice) { // one of several ways, or a different client
		m.Grants = slices.DeleteFunc(m.Grants, func(g string) bool { return g == client.GrantDevice })
	}
	c, err := m.client()
	if f, ok := errors.AsType[*fault.Error](err); ok && f.Code == errRedirect.Code {
		err = errMetadata.Saying("%s", f.Message)
	}
	return c, m.ID, err
}

package app

import (
	"context"

	"github.com/rephlo/rephlo/internal/identity/client"
	"github.com/rephlo/rephlo/internal/identity/grant"
	"github.com/rephlo/rephlo/internal/identity/keys"
)

// SigningKeys are the keys that sign tokens, for commands.
func (c *Core) SigningKeys() *keys.Service {
	return keys.New(keys.Needs{DB: c.DB, Bus: c.Bus, Box: c.Box, Log: c.Log, Now: c.Now, Audit: c.Audit})
}

// ClientAdmin administers the OAuth clients, for commands.
func (c *Core) ClientAdmin(ctx context.Context) (client.Admin, error) {
	clients := client.New(client.Needs{DB: c.DB, Bus: c.Bus, Log: c.Log, Now: c.Now, Issuer: c.Config.IDPURL, Dev: c.Config.Dev, Prepare: c.SigningKeys().Prepare})
	grants := grant.New(grant.Needs{DB: c.DB, Bus: c.Bus, Box: c.Box, Log: c.Log, Now: c.Now})
	return c.clientAdmin(clients, grants), clients.Load(ctx)
}

func (c *Core) clientAdmin(clients *client.Service, grants *grant.Service) client.Admin {
	return client.Admin{Clients: clients, Audit: c.Audit, End: grants.EndClient, Live: grants.LiveOf, Ours: []string{c.Config.APIURL, c.Config.IDPURL}}
}

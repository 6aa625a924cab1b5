package app

import "github.com/rephlo/rephlo/internal/identity/keys"

// SigningKeys are the keys that sign tokens, for commands.
func (c *Core) SigningKeys() *keys.Service {
	return keys.New(keys.Needs{DB: c.DB, Bus: c.Bus, Box: c.Box, Log: c.Log, Now: c.Now, Audit: c.Audit})
}

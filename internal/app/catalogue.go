package app

import "github.com/rephlo/rephlo/internal/catalog"

// Catalogue returns the models and prices for a command, beside a server that
// may run and learns of changes within two seconds. It answers nothing from
// memory.
func (c *Core) Catalogue() *catalog.Service {
	return catalog.New(catalog.Needs{DB: c.DB, Bus: c.Bus, Box: c.Box, Log: c.Log, Now: c.Now, Audit: c.Audit, Terms: c.terms})
}

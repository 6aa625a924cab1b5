package catalog

import "context"

// Reload loads the snapshot at once.
func (s *Service) Reload(ctx context.Context) error { return s.load(ctx) }

// CheckConfig is what Start does first.
func CheckConfig(all []ProviderConfig) error { return checkAll(all) }

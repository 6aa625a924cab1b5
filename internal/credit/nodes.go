package credit

// Nodes returns how many processes work on the ledger now, this one included,
// as far as it has seen.
func (s *Service) Nodes() int64 { return max(s.shared.live.Load(), 1) }

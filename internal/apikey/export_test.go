package apikey

import "context"

// Checksum is what a key that begins with s must end with.
func Checksum(s string) string { sum := checksum(s); return string(sum[:]) }

// LateRead reads a key as Lookup does, and does something else between the
// read and storing what it found.
func (s *Service) LateRead(ctx context.Context, text string, between func()) error {
	h, _ := parse(text)
	generation := s.cache.started()
	k, _, err := s.store.byHash(ctx, h, s.now())
	between()
	s.cache.keep(h, &entry{key: k, loaded: s.now()}, generation, s.now())
	return err
}

package consent

import "context"

// Of returns the media type of the picture at an address.
func (l *Logos) Of(ctx context.Context, address string) (string, error) {
	got, err := l.of(ctx, address)
	return got.mediaType, err
}

package egress

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
)

// unzipped decodes a body that came compressed although it was not asked for.
type unzipped struct {
	*body
	zr    *gzip.Reader
	limit int64 // of the decoded content, 0 is none
	total int64
	err   error
}

// Read implements io.Reader.
func (u *unzipped) Read(p []byte) (int, error) {
	if u.err != nil {
		return 0, u.err
	}
	if u.zr == nil {
		zr, err := gzip.NewReader(u.body)
		if err != nil {
			return 0, u.broken(err)
		}
		u.zr = zr
	}
	n, err := u.zr.Read(p)
	u.total += int64(n)
	switch {
	case u.limit > 0 && u.total > u.limit:
		return 0, u.broken(protocol("answer too large"))
	case err != nil && !errors.Is(err, io.EOF):
		return n, u.broken(err)
	case err != nil:
		u.err = io.EOF
	}
	return n, err
}

// broken keeps a failure of the connection and takes any other for one of the
// compression.
func (u *unzipped) broken(err error) error {
	u.err = err
	if u.body.err == nil || errors.Is(u.body.err, io.EOF) {
		u.err = fmt.Errorf("%w: decode answer: %w", ErrProtocol, err)
	}
	return u.err
}

// Close implements io.Closer.
func (u *unzipped) Close() error {
	if errors.Is(u.err, io.EOF) {
		u.Done()
	}
	return u.body.Close()
}

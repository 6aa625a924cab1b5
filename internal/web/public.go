package web

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/netip"
)

// Public lets anybody keep what the route answers for a minute, and says by an
// ETag whether it is still the same.
func Public() Option {
	return All(Open(), With(func(next Handler) Handler {
		return func(w http.ResponseWriter, r *http.Request) error {
			held := &held{ResponseWriter: w, status: http.StatusOK}
			if err := next(held, r); err != nil {
				return err
			}
			h := w.Header()
			if held.status != http.StatusOK {
				w.WriteHeader(held.status)
				_, _ = w.Write(held.body.Bytes()) // a client that left is not our error
				return nil
			}
			sum := sha256.Sum256(held.body.Bytes())
			etag := `"` + hex.EncodeToString(sum[:8]) + `"`
			h.Set("Cache-Control", "public, max-age=60")
			h.Set("Etag", etag)
			if r.Header.Get("If-None-Match") == etag {
				h.Del("Content-Type")
				h.Del("Content-Length")
				w.WriteHeader(http.StatusNotModified)
				return nil
			}
			_, _ = w.Write(held.body.Bytes()) // as above
			return nil
		}
	}))
}

// held keeps an answer until its tag is known.
type held struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
}

// Unwrap serves http.ResponseController and Note.
func (h *held) Unwrap() http.ResponseWriter { return h.ResponseWriter }

// WriteHeader implements http.ResponseWriter.
func (h *held) WriteHeader(status int) { h.status = status }

// Write implements http.ResponseWriter.
func (h *held) Write(b []byte) (int, error) { return h.body.Write(b) }

// Client returns under what the sender of r is counted: the address, or its /64
// network, as IPv6 networks are given out.
func Client(r *http.Request) string {
	ap, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	addr := ap.Addr().Unmap().WithZone("")
	if addr.Is4() {
		return addr.String()
	}
	p, _ := addr.Prefix(64) // it fits the address
	return p.String()
}

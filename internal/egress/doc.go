// Package egress calls other people's HTTP services. It is the only place
// that does.
//
// Every address is checked when it is dialled, after its name was resolved, so
// that what was checked is what is connected: loopback, private, link-local,
// shared, translated, reserved and multicast addresses are refused unless the
// endpoint allows private ones, and the metadata addresses of clouds always.
// Redirects are not followed.
//
// The client is a pooled HTTP/1.1 one over plain connections. A call runs in
// the goroutine that makes it: deadlines of the connection bound its phases and
// the end of its context closes the connection. What a server sends is parsed
// strictly, because the boundary between two answers on one connection is also
// the boundary between two customers:
//
//	head             at most 32 KiB, CRLF only, no folded lines
//	length           one Content-Length, or chunked, or until the end; never two
//	chunk lines      at most 256 bytes
//	interim answers  at most 5, never 101
//
// Idle connections wait per address, the last used first, at most 256 of them
// for 50 seconds. A connection that turns out to be closed when it is used
// again, before any byte of an answer, is replaced once by a new one.
package egress

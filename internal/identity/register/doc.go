// Package register lets programs register themselves as clients: dynamic client
// registration (RFC 7591, OpenID Connect Dynamic Client Registration 1.0) and
// the management of such a registration (RFC 7592).
//
// Nobody has vouched for these clients: users are always asked, the page says
// so and shows where the answer goes, and the scope admin is never theirs. The
// registration token, of which only the hash is stored, is the only key to a
// registration; each change makes a new one. A client that asks for what there
// is not gets invalid_client_metadata rather than something else than it asked
// for.
package register

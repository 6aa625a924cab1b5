// Package introspect tells clients whether a token is alive and what it says
// (RFC 7662), signed on request (RFC 9701).
//
// Only a client that can prove itself may ask, and only about its own tokens:
// for every other token, as for one that is unknown, expired or revoked, the
// answer is that it is not active.
package introspect

// Package discovery publishes what the Identity Provider can do and its keys:
// OpenID Connect Discovery 1.0, RFC 8414, RFC 7517. The documents name only
// what exists, and addresses come from the configuration, never from a
// request.
package discovery

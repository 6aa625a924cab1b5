// Package userinfo is the endpoint that tells a client about its user (OpenID
// Connect Core section 5.3), as far as the scopes of its access token go.
package userinfo

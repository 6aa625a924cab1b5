// Package authorize is the authorization endpoint and the dispatcher of
// interactions.
//
// An accepted request becomes an interaction: a row with the request and what
// has happened since, bound to the browser by a cookie, so that a link cannot
// plant somebody else's request. GET /interaction/{uid} picks the first step
// that is missing from what is stored:
//
//	sign in    nobody is, the sign-in is too old, or it must be another user
//	consent    scopes or resources that the user has not allowed yet
//	confirm    a click, for programs on the user's machine (RFC 8252 section 8.6)
//	issue      the code
//
// The steps (login, consent) know nothing of each other: each stores what it
// did and leads back here. prompt=none turns a missing step into an error for
// the client.
//
// Tables: authorize_interaction.
package authorize

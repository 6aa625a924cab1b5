// Package authorize is the authorization endpoint and the dispatcher of
// interactions.
//
// An accepted request becomes an interaction: a row with the request and what
// has happened since, bound to the browser by a cookie, so that a link cannot
// plant somebody else's request. GET /interaction/{uid} picks the first step
// that is missing from what is stored:
//
//	sign in    nobody is, the sign-in is too old, or it must be another user
//	challenge  a second factor that the user has, or that the request wants
//	enrol      the user's role requires a second factor, and there is none
//	consent    scopes or resources that the user has not allowed yet
//	confirm    a click, for programs on the user's machine (RFC 8252 section 8.6)
//	issue      the code
//
// The steps (login, challenge, consent) know nothing of each other: each stores
// what it did and leads back here. prompt=none turns a missing step into an
// error for the client.
//
// Who has given the first of two factors is noted in the interaction and
// nowhere else: there is no session yet, and so no right to anything.
//
// An interaction can also be our own: then nobody asks for a code, and it ends
// by leading back to one of our pages.
//
// Tables: authorize_interaction.
package authorize

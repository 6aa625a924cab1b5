// Package e2e builds the rephlo binary, starts it in an empty folder and
// drives it from outside, as a stranger would: over HTTP, through the pages, by
// the command line, with clients that nobody here wrote, and with signals.
//
//	make e2e       all of it, on SQLite and on PostgreSQL
//	make crash     the kill test with 200 rounds
//
// Without REPHLO_E2E=1 its tests skip, so that `go test ./...` stays quick. A
// Server is one running installation; a Person is somebody with a browser; a
// Vendor is a model provider that does what a test wants.
package e2e

// Package compat calls a running Rephlo with Go clients that nobody here wrote.
// The tests of package e2e start the server and run these; alone they skip.
package compat

// Package obs is where the log goes, one handler for the whole process, text on
// a terminal and JSON elsewhere; and where the numbers go that a monitoring
// system reads, see Metrics.
//
// A log line never makes a request wait. Lines go into a bounded queue that
// one goroutine writes out; when what reads our output stands still, debug and
// info lines are dropped first, then all, and once it moves again a line says
// how many were lost. What must not be lost (audit, money) is in the database.
//
// Every line passes a redactor, a safety net below the rule that secrets are
// not logged: what looks like a key or a token is replaced.
package obs

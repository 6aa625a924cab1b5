// Package health tells load balancers and people whether this process can
// serve.
//
// Parts register a check. /health and /health/ready run them all, each within
// two seconds, and answer 503 when one is down or the process is about to
// stop; the answer is kept for a second, so that asking often costs nothing.
// /health/live says only that the process answers. The answers name parts and
// states; the reasons go to the log.
package health

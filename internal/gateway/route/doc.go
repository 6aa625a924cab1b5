// Package route chooses the deployment that a call is tried at, and remembers
// how each of them does.
//
// A deployment is a vendor's model at a provider. Choose takes the first
// priority that has one which is fit: not cooling, its breaker closed or with a
// permit for a trial. Among those of one priority it uses weighted rendezvous
// hashing, so that calls of one conversation meet the same deployment (vendors
// cache prompts) while the weights hold in the mean; one that has more than one
// and a half times its fair share of the calls in flight is passed over.
//
//	breaker    5 faults in a row, or half of at least 20 calls in 10 s: open for
//	           5 s, doubling to 60 s; then one trial at a time, 3 successes close
//	cooling    rate limit: what the vendor asks for, up to 5 min, else 15 s
//	           doubling to 5 min; exhausted quota: 1 h; refused credential: 60 s,
//	           the third in a row switches the credential off until it changes
//	retries    at most a fifth of the calls in flight, but at least 3
//
// State is per process and lost with it: a deployment that is unwell is found
// out again within a few calls. Everything is safe for concurrent use; no lock
// is held across I/O.
package route

// Package idempotency makes a request that is repeated under the same
// Idempotency-Key do nothing twice: the second time it answers what the first
// one answered.
//
// A key belongs to its caller, method and path, and lives a day. The first
// request claims it with one statement, so of many at once one does the work
// and the others are told to wait. Its answer is kept, sealed, before it is
// sent: it may hold a secret that is shown once. Of the request only a keyed
// hash is kept. Refusals that another attempt may mend are not kept.
//
// A process that dies in the middle leaves a claim that runs out; the next
// request with the key then does the work. Where that must not happen twice
// even then, the endpoint names its effect in its own transaction, as credits
// do.
//
// Tables: idempotency_key.
package idempotency

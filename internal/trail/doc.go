// Package trail keeps what happened to the safety of each account, for its
// owner: sign-ins, failed tries, and changes of passwords, second factors,
// passkeys, linked accounts and API keys.
//
// What changes something is recorded in the transaction of the change. A failed
// try is recorded a moment later by a goroutine, so that it takes no longer for
// names that exist; more than a few hundred at once are dropped.
package trail

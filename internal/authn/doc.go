// Package authn finds out who calls the Resource API: it turns the credential
// of a request into an access.Actor, or into the fault that says why not.
//
// A credential is an access token or an API key, in Authorization (Bearer),
// x-api-key or x-goog-api-key. Two different ones, or one in the address, are
// refused. What was proven before is answered from memory: an API key costs a
// hash and a map look-up, an access token is verified once a minute. Whether a
// token is revoked and how the account stands is asked each time, also from
// memory, so both take effect at once.
//
// Faults: unauthorized (nothing was sent), invalid_token, token_expired,
// api_key_invalid, api_key_expired, api_key_revoked, account_suspended,
// account_banned, too_many_attempts (an address that fails too often; what is
// known to be good passes all the same), service_unavailable. Answers never
// tell why a credential is bad.
package authn

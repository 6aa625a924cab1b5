// Package grant owns what users gave to clients: consents, authorization
// codes, refresh-token families and the revocations that end them.
//
// A code works once and a refresh token has one successor, because the test
// and the change are one SQL statement each. Whatever a code or a family gave
// carries the id of its authorization (gid), so that reuse takes all of it
// back.
//
// Revocations are epochs: a row (kind, subject, not_before) refuses every
// token of that subject that is not younger. They are written in the
// transaction of their cause, announced on the bus, and held in memory, where
// checking a token costs a few map look-ups. A row lives as long as the
// longest access token.
//
// Nothing here stores a value that could be presented: codes and tokens are
// kept as SHA-256, and a successor kept for the grace is sealed with a key
// that only the holder of its predecessor has.
//
// Tables: grant_code, grant_consent, grant_device, grant_family, grant_login,
// grant_once, grant_revocation, grant_rotation.
package grant

// Package mfa is a person's second factor: time-based one-time codes (TOTP, RFC
// 6238) of an authenticator app, and ten recovery codes for the day it is lost.
//
// The secret of an authenticator is sealed; a recovery code is stored as an
// argon2id hash behind its first two characters, so that a try costs one hash.
// A code of either kind works once, on all processes together: one guarded
// statement uses it up. Five wrong codes within five minutes slow further tries
// of that account down, and never lock it.
//
// Here an enrolled person manages factors; that a code is right is told to
// nobody who is not signed in, except within the sign-in of the Identity
// Provider, which calls Check.
//
// Tables: mfa_totp, mfa_setup, mfa_recovery.
package mfa

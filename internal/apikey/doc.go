// Package apikey holds users' API keys.
//
// A key is rph_live_ or rph_test_, 26 characters with 130 random bits, "_" and
// 6 characters of checksum. The alphabet is Crockford's base 32 in lower case
// (no i, l, o, u). The checksum is the upper 30 bits of the CRC-32 (IEEE) of
// all that stands before its "_": typing errors and invented keys are refused
// without a look at anything, and leak scanners can tell a key from noise. It
// protects nothing; the random bits do.
//
// The database has the SHA-256 of a key and its first 12 characters; the key
// itself is shown once.
//
// Lookup is on the way of every model call and answers from memory. Changes
// reach other processes by the bus (kind "apikey.changed", subject the hash in
// hexadecimal), and an entry older than five minutes is read again, so a lost
// message does not keep a revoked key alive. When the database cannot be
// asked, the answer is ErrUnavailable, never "no such key".
//
// Tables: apikey_key, apikey_owner.
package apikey

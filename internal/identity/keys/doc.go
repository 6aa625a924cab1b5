// Package keys holds the keys that sign tokens.
//
// A key's state follows from its times, so processes need not agree on
// anything but the table:
//
//	published  in the JWKS, not used yet, so that every client has seen it
//	active     signs
//	retired    verifies what it has signed; its private part is destroyed
//	removed    when the last token that it signed has ended
//
// ES256 has keys from the start, RS256 and EdDSA once somebody chooses them
// (docs/decisions/0056-a-key-for-an-algorithm-is-made-when-it-is-chosen.md).
//
// Private parts are sealed with the master key. Signing and looking up a key
// read memory; the JWKS document is prebuilt.
//
// Tables: keys_key.
package keys

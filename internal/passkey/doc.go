// Package passkey keeps people's passkeys (WebAuthn credentials): what they
// register, and whether an answer to a challenge was made by one.
//
// A passkey is discoverable and verifies its user, so that it is two factors
// by itself: signing in with one asks for nothing else. A challenge is good for
// five minutes, once, and only for the browser or the user that it was made for.
// A passkey whose counter goes back has been copied: it is refused from then on
// and its owner is told.
//
// Passkeys are bound to the host name of the Identity Provider. An address
// without a name, such as 127.0.0.1, cannot have any.
//
// Tables: passkey_credential, passkey_ceremony.
package passkey

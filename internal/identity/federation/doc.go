// Package federation signs people in with an account that they have elsewhere:
// Google, Microsoft, GitHub, and any OpenID Provider.
//
// Somebody is known by the issuer and the subject that it names, never by an
// e-mail address. An address only decides what a stranger is asked: to create an
// account, or first to sign in to the one that has the address. Each trip to a
// provider has a state, a nonce and a PKCE verifier of its own, works once within
// ten minutes, and only in the browser that began it.
package federation

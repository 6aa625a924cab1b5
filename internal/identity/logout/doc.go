// Package logout is sign-out started by a client (OpenID Connect RP-Initiated
// Logout 1.0).
//
// An ID token as hint selects the session to end, but it has authority over
// this browser's session only, and only it opens the way back to the client.
// Without a valid hint the user is asked, and nothing is redirected: another
// site can neither sign a user out nor use us to send them elsewhere.
package logout

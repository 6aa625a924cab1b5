// Package enroll is the set-up of an authenticator app on pages: its QR code,
// the first code, and the recovery codes, of which one is typed back to show
// that they were kept. The sign-in and the account area use it alike; each says
// who sets up, and what follows.
package enroll

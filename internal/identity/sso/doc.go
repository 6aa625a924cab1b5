// Package sso is the browser's single sign-on: who is signed in there, since
// when and by what means, and who has been before.
//
// Three cookies, each of 256 random bits of which only the SHA-256 is stored:
// the session; the browser, to which an interaction is bound, so that a link
// cannot plant somebody else's; and the device, by which a browser is known
// from earlier sign-ins. Over https their names begin with __Host-, so that no
// other host can set them; over plain http, which is for localhost only,
// browsers do not accept that prefix.
//
// A session gets a new secret at each sign-in and each further proof. It ends
// after 12 hours without use, 30 days after it began, when its user may no longer
// sign in, and when the user was signed out everywhere after it.
//
// A trusted device is a browser that stands for its user's second factor where
// the installation allows it: the sign-in stays a single one, and pages where
// people change how they sign in, clients that insist on two factors and people
// with a role ask for the factor all the same. A new password, a change of
// factors and signing out everywhere end all trust.
//
// Tables: sso_session, sso_device, sso_trusted.
package sso

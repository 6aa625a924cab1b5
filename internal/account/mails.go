package account

import "github.com/rephlo/rephlo/internal/mail"

// verifyMail asks somebody to prove an address.
func verifyMail(to, link string) mail.Message {
	return mail.Message{To: to, Subject: "Confirm your e-mail address", Text: `Hello,

somebody, most likely you, signed up for Rephlo with this e-mail address. Open
this link and press the button to confirm it:

` + link + `

The link works once and for 24 hours. If you did not sign up, ignore this mail
and do not open the link; nobody can use your address without it.
`}
}

// knownMail tells the owner of an account that somebody signed up again.
func knownMail(to, idp string) mail.Message {
	return mail.Message{To: to, Subject: "You already have an account", Text: `Hello,

somebody, most likely you, signed up for Rephlo with this e-mail address, which
already has an account. Nothing was changed. Go back to the app and sign in
with the password you have.

If it was not you, ignore this mail.

` + idp + `
`}
}

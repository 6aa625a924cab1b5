package account

import (
	"time"

	"github.com/rephlo/rephlo/internal/mail"
)

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

// resetMail lets the owner of an account choose a new password.
func resetMail(to, link string) mail.Message {
	return mail.Message{To: to, Subject: "Set a new password", Text: `Hello,

somebody, most likely you, asked for a new password for Rephlo. Open this link
to choose one:

` + link + `

The link works once and for 15 minutes. A new password signs you out everywhere.
If it was not you, ignore this mail: nothing has changed.
`}
}

// strangerMail answers somebody who asked for a link to an address that has no
// account.
func strangerMail(to, idp string) mail.Message {
	return mail.Message{To: to, Subject: "There is no account with this address", Text: `Hello,

somebody, most likely you, asked Rephlo for a link to this e-mail address, but
no account has it. Perhaps you signed up with another address. You can also
create an account:

` + idp + `/register

If it was not you, ignore this mail.
`}
}

// newAddressMail asks somebody to prove an address that an account moves to.
func newAddressMail(to, link string) mail.Message {
	return mail.Message{To: to, Subject: "Confirm your new e-mail address", Text: `Hello,

somebody, most likely you, wants to use this e-mail address for a Rephlo account.
Open this link and press the button to confirm it:

` + link + `

The link works once and for 24 hours. If it was not you, ignore this mail and do
not open the link.
`}
}

// takenMail tells the owner of an address that another account cannot have it.
func takenMail(to string) mail.Message {
	return mail.Message{To: to, Subject: "Your address is in use", Text: `Hello,

somebody wants to use this e-mail address for another Rephlo account than the one
that has it. Nothing was changed. If it was you, sign in to the account that has
this address, or use another address.
`}
}

// movingMail tells the old address that the account is about to get another.
func movingMail(to, link string) mail.Message {
	return mail.Message{To: to, Subject: "Your e-mail address is about to change", Text: `Hello,

somebody, most likely you, asked to use another e-mail address for your account.
It changes when the new address is confirmed.

If it was not you, open this link and press the button to call it off, then
change your password:

` + link + `

The link works once and for 24 hours.
`}
}

// movedMail tells both addresses that the account has changed from one to the
// other.
func movedMail(to string) mail.Message {
	return mail.Message{To: to, Subject: "Your e-mail address was changed", Text: `Hello,

the e-mail address of your Rephlo account was changed. If it was not you, ask the
operator of this service for help at once.
`}
}

// deviceMail tells somebody of a sign-in on a device that is new.
func deviceMail(to string, d Device, link string) mail.Message {
	return mail.Message{To: to, Subject: "A new device signed in", Text: `Hello,

somebody, most likely you, signed in to your account on a device that was not
used before:

  ` + d.Name + `
  from the address ` + d.Address + `
  on ` + d.At.UTC().Format("2 January 2006 at 15:04") + ` (UTC)

If it was not you, open this link and press the button. It ends that sign-in and
lets you set a new password:

` + link + `

The link works once and for 24 hours.
`}
}

// ImpersonatedMail tells somebody that an administrator looks at their account.
func ImpersonatedMail(to string, until time.Time) mail.Message {
	return mail.Message{To: to, Subject: "An administrator looks at your account", Text: `Hello,

an administrator of this service is looking at your Rephlo account as you see it,
until ` + until.UTC().Format("15:04 on 2 January 2006") + ` (UTC) at the latest. A second administrator
agreed to it. They can read your profile, usage and credits; they cannot change
anything, use your credits, or see passwords and keys.

You find it among the security events of your account. If you did not ask for
help, write to the operator of this service.
`}
}

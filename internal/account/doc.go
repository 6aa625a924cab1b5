// Package account knows the people who use this instance: who they are, how
// they sign up and prove their address, and whether a password is theirs.
//
// Invariants:
//   - An e-mail address and a username belong to one account each, ignoring
//     case.
//   - What a stranger can send (sign-up, sign-in, another verification link)
//     is answered alike for known and unknown addresses and costs the same
//     work, so nobody learns who has an account.
//   - Links hold 256 random bits, of which only the SHA-256 is stored; each is
//     bound to a purpose and works once.
//   - A wrong password slows its name and its network down but never locks
//     anybody out: a browser that the user has signed in from before has a
//     counter of its own.
//   - There is no default account. The first administrator comes from a
//     one-time link or from the command line.
//
// An address whose sign-up was never confirmed can be signed up again; the
// unconfirmed account then loses it, so that nobody can wait in an account made
// with somebody else's address.
//
// Tables: account_user, account_token, account_state, account_preference.
package account

// Package impersonate lets an administrator see what somebody sees, to help
// them. It takes the permission users.impersonate and the approval of a second
// person. Then the one who asked, and nobody else, takes an access token that
//
//   - is for the user, and names the administrator as who acts (RFC 8693 section
//     4.1), so that every line of the audit log names both;
//   - reads: it has no scope that calls models or changes anything, and every
//     request but GET and HEAD is refused whatever the route, see Middleware;
//   - lives for half an hour from when it was first taken, has no refresh token,
//     and ends at once when the administrator ends it, loses the permission or
//     their account, or becomes the user's equal: nobody with a role is
//     impersonated.
//
// The user gets a mail when it begins and finds it among their security events.
package impersonate

// Package device lets programs without a browser ask for access: device
// authorization (RFC 8628).
//
// The program gets a long code, with which it asks the token endpoint, and a
// short one, which it shows. A person types the short one at /device on
// another device. That begins an interaction like any other: sign-in, second
// factor and consent are the same steps, and the consent is always asked,
// because whoever gave the person the code may have started the request. The
// page says where the request came from, and warns.
//
// Short codes can be guessed at, so wrong ones are counted by address and by
// browser.
package device

// Package console is what people see on the Resource API: so far the page that
// sets up an empty instance, and the front door.
//
// The set-up page takes the one-time token that the start prints. The token is
// used up in the transaction that makes the administrator and the first API
// key, so a failure leaves nothing behind and the token good.
package console

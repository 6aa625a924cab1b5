// Package capture keeps what was asked and answered in calls, where the operator
// allows it and the owner of an API key wants it, so that both can see why a
// program does what it does.
//
// A payload is what the client sent and what it got, each cut to 256 KiB after
// its media (images, files, sound) were replaced by their size and hash. It is
// sealed; who reads one is remembered in the audit log. Rows go after a number
// of days, with the account, or when their owner deletes them.
//
// Nothing waits for it: calls put what they have into a queue of at most 32 MiB,
// a goroutine makes rows of that. What does not fit, or cannot be stored, is
// dropped and counted.
package capture

// Command verify measures how a large ledger is read: `rephlo ledger verify`
// over it, a user's balance, the pages of the history, and the start of the
// service while ten thousand holds are open. The ledger is written by
// bench/ledgerfill.
//
//	make bench-verify
//	go run ./bench/verify -sizes 1000000,10000000 -db sqlite -json out.json
//
// Verify runs as the real binary in a process of its own: its peak of resident
// memory is what the kernel says. Beside the time it took stands the CPU that
// it used, because other work on the machine changes the first and hardly the
// second.
package main

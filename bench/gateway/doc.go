// Command gateway measures what a model call costs in CPU, as a multiple of
// what a bare httputil.ReverseProxy takes for the same call in the same run. It
// builds the mock vendor, the bare proxy, the load generator and the real
// rephlo binary, starts them, and lets the load alternate between the two.
//
//	make bench-gateway
//	go run ./bench/gateway -rounds 5 -seconds 6
//
// CPU is the user and system time of the measured process divided by the
// answers it gave: other processes on the machine change the throughput, but
// hardly the CPU of a request. A round with a wrong answer does not count. At
// the end the ledger is verified: every answer was paid for.
//
// Beside the lanes of one protocol there are two in which rephlo translates, and
// one with 500 streams open at a time, whose memory is what counts.
//
// It runs with SQLite, and with PostgreSQL too where REPHLO_TEST_POSTGRES names
// a server. The commits of SQLite burn CPU in our process, those of PostgreSQL
// in its own, so the gates differ.
package main

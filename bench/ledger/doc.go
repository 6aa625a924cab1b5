// Command ledger measures what the ledger costs and gives: whole calls (a hold
// and a settlement with its usage record, both durable) in parallel, against
// the same rows written by one transaction per operation; admission in memory;
// and what a call's first and last byte wait for.
//
//	make bench-ledger
//	go run ./bench/ledger -db sqlite -rounds 3 -time 2s -parallel 64,256
//
// The two ways take turns, each in a database of its own, and only the ratio
// of one run means something. The real package runs with hash chain, two caps
// per call and usage records; the ledger is verified after every run.
package main

// Package cache counts what several processes may use together: permits of a
// minute, and places of calls that run at the same time.
//
// A Counters answers from memory. Alone it holds the whole of each limit. With
// Redis it draws portions of a sixteenth of a limit (at most 128) from the
// bucket that all processes share and admits from its portion, so that most
// calls ask nobody and no process admits what the bucket did not give. What a
// process has drawn and not used goes back after a second.
//
// Redis is given 50 ms for an answer. When it does not answer, all counters of
// the process change to their share of the limit, limit / processes, until it
// is back: a limit is then kept in the mean, and nobody waits or is turned away
// because of Redis. A counter that changes begins with a full share, so at most
// twice the limit passes in the minute of the change.
//
// Buckets refill continuously (limit per minute); there is no moment at which
// all of them are reset. Numbers are integers throughout: a bucket's level is in
// permits times microseconds of a minute.
package cache

// Package pricing turns what a model call used into what it costs. A call's
// use is counted in disjoint classes (Counts), a vendor's price row has a price
// per class (Prices), and money.Terms turn the sum into credits with one
// division and one rounding.
//
// A class that a row does not name costs what the nearest dearer one does,
// because no discount is assumed:
//
//	cacheRead, cacheWrite, imageInput, audioInput   input
//	cacheWriteLong                                  cacheWrite
//	reasoning, audioOutput, imageOutput             output
//
// What is not counted in tokens (images, seconds of sound, characters, calls of
// the vendor's tools, requests) costs nothing without a price of its own; the
// gateway does not let a model serve it then.
//
// A row may have a second set of prices for long contexts. Above its threshold
// of input tokens, cached ones included, that set prices the whole call.
//
// Everything here is arithmetic: no I/O, no state, safe for concurrent use.
package pricing

// Package search finds what an administrator has a name of: one box for an
// address, an id, the beginning of a key or the id of a request. It knows
// nothing itself; each slice looks among its own things, by index and never by
// a part of a word. What a reader may not see is not looked for.
package search

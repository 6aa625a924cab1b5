// Package spool is a file of a fixed size that takes records when nothing else
// does: its space is set aside when it is made, so that it can be written while
// the disk is full.
//
// The file begins with two slots of a header that carries a generation; the
// valid one with the higher generation counts, and a new one goes into the
// other slot. Frames follow, each with its length, its generation, its place
// and a CRC-32C over all of them. A frame holds the records of one Append and
// is flushed before the next is written. So what is not valid after the last
// valid frame is the rest of a write that nobody was told of, and is cut; a
// valid frame further on means that the file was damaged in the middle, and it
// is not used. Reset begins a new generation, which leaves no frame valid.
//
// Integers are little-endian. On a file system that copies on write, setting
// the space aside does not guarantee that it can be overwritten.
package spool

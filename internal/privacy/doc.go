// Package privacy gives people everything that is known about them, and forgets
// them.
//
// An export is asked for by somebody who has just signed in. A job writes it: a
// ZIP with each sheet of each personal.Part as JSON and as CSV, all of one moment.
// It is written and read in pieces of a fixed size, sealed, in the database, so
// that any process can hand it out; it never is in memory or on disk as a whole.
// Its link is mailed, opens a page with a button, so that who looks through mails
// does not fetch it, and ends with the file after 24 hours. A job that is cut off
// begins again, and what it wrote before is removed.
//
// An erasure follows a deletion that was not undone in time. The parts forget one
// after the other, each in a transaction and each so that doing it again changes
// nothing; the account is the last. A process that ends in between loses nothing:
// the next run finds the account and begins again.
//
// Tables: privacy_export, privacy_chunk.
package privacy

// Package audit remembers who administered what: every change, refusal and
// sign-in, in an order that cannot be altered without being noticed.
//
// Invariants:
//   - A change and its row are one transaction: no row, no change.
//   - Rows are numbered from 1 without gaps, and triggers refuse to alter or
//     delete them.
//   - hash = HMAC-SHA256(key, hash of the row before || record), where record is
//     the row as canonical JSON: its columns as members in the order of their
//     names, without spaces. The key is derived from the master key, so who can
//     write to the database only cannot make a row that verifies.
//   - Secrets never arrive here: fields with a name like one are "[secret]".
//   - Addresses, client names and the personal fields of a change are sealed
//     under a key of that person. Without the key (it is deleted when a person
//     is erased) they read as null, and the chain still verifies.
//   - Rows are forgotten from the oldest on, when they are as old as a setting
//     says and verify: a marker, signed and chained like rows, keeps the number
//     and the hash that the next row follows, and triggers refuse to delete what
//     no marker names.
//   - A checkpoint in the log output, every hour, says how far the chain was:
//     rows that vanish from its end are noticed there.
//
// Tables: audit_log, audit_head, audit_person, audit_pruned.
package audit

// Package personal says how the slices give people what is known about them,
// and how they forget it: each slice that knows people is a Part.
//
// A part exports sheets: tables with a name that is unique among all parts, and
// a column for each thing it knows. Rows are streamed; nothing is collected. A
// part erases what only the person is interested in, and leaves what is kept for
// others (the ledger, the audit log) without a name: the id of the person stays,
// and says nothing to who has nothing else.
//
// Erase may run again after a crash, and then changes nothing. Nothing secret is
// exported: no hash, no key, no sealed value.
package personal

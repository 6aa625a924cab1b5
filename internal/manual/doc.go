// Package manual explains every error code that an answer can carry: what it
// means and what to do. The address of an explanation is the docUrl of the
// answer.
//
// The table Codes is the list of all codes. A test reads the source of the
// other packages and fails when one declares a code that is not in the table,
// or with another status, and when the table has a code that nobody declares.
// The same table is docs/errors.md.
package manual

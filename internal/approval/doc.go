// Package approval lets two people do what one may not do alone: an operation
// is asked for by one administrator and runs when another one approves it.
//
// Invariants:
//   - What runs is what was asked for: the request is frozen, and sealed,
//     because reasons tell about people.
//   - Who decides is another person than who asked and than whom it is about,
//     with approvals.decide and the permission of the operation. Only when
//     nobody else could decide may who asked do so, with a fresh sign-in and a
//     typed reason.
//   - Who asked still has the permission when it runs, and the operation looks
//     again at what it needs.
//   - The decision and its effect are one transaction: a process that dies in
//     between has done neither, and the request is pending as before. The
//     decision moves the row from pending, so of several only one happens, in
//     whichever processes.
//   - After 24 hours a request counts for nothing, without anything having to
//     run; a job writes it down.
//   - Every step writes its audit entry in its own transaction.
//
// A package defines its operations with Define and asks with Operation.Ask.
//
// Tables: approval_request.
package approval

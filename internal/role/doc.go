// Package role knows who may administer what: the roles that people hold, the
// permissions that are granted to or revoked from one person, and the roles
// that an instance defined for itself. What the six system roles hold is in
// package access.
//
// Invariants:
//   - Rights are the union of a person's roles, then their overrides; a revoke
//     wins over a grant. What has expired counts for nothing from that moment,
//     without anything having to run.
//   - There is always an active person with super_admin for good, from whom
//     nothing is revoked.
//   - Nobody changes their own roles, nobody gives what they do not have, and
//     only a super_admin changes the rights of one.
//   - Every change writes its audit entry in its own transaction.
//
// A change shows at once in this process and in others when the bus has brought
// it. Assignments and overrides are ended, never deleted: they are the history.
//
// Tables: role_custom, role_assignment, role_override, role_lock, role_visit,
// role_network.
package role

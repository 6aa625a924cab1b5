// Package subscription says who pays for what: which tier a user has, until
// when, and what a change of plan costs and gives.
//
// # A life
//
// A user has exactly one live subscription; who pays nothing has the free one.
// Checkout makes an incomplete one beside it, Start (by an administrator) and
// Confirm (after a payment) put theirs in its place. What happens later by
// itself has a time, DueAt, that is computed from the other columns whenever
// the row is written, so nothing is forgotten and nothing needs a timer:
//
//	trial       the trial ends: charged, or expired
//	active      the period ends: renewed, changed, cancelled; a credit cycle
//	            ends: rolled over, and the next one given its credits
//	past_due    days 3 and 7: an attempt to collect; the second suspends
//	suspended   day 14: the last attempt; then expired
//	incomplete  after a day unpaid: removed
//
// Due does these steps. Each is one transaction that is guarded by the row's
// version, and the credits of a cycle by a unique key, so it happens once
// however many processes try and wherever one dies. The money of a period is
// collected before that transaction, under a name that a repetition shares.
//
// # Time and arithmetic
//
// Credit cycles are months from Anchor, billing periods months from
// PeriodAnchor (package calendar); neither drifts. Credit cycles of a trial are
// counted from its end, where the first payment brings the first plan credits.
// Prorate, the arithmetic of a change, is a pure function: money is rounded half
// up to minor units once per line, credits up to whole credits. A preview is
// signed and names the version it was computed from; applying it charges its
// numbers or nothing.
//
// # Payments
//
// Payments is what a payment service implements. Without one, subscriptions are
// given by administrators and cost nothing, and everything else works.
//
// Tables: subscription_plan, subscription_event, subscription_allocation,
// subscription_proration, subscription_balance.
package subscription

// Package subscription says who pays for what: which tier a user has, until
// when, and what a change of plan costs and gives.
//
// The arithmetic of a change is Prorate, a pure function: money is rounded half
// up to minor units once per line, credits up to whole credits.
package subscription

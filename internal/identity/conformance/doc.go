// Package conformance tests the Identity Provider as others see it: both
// services run in this process on loopback ports with a clock of the test, and
// every request goes over HTTP.
//
// The tests of plan_*_test.go have the names of the OpenID Foundation's
// certification modules and were written from the specifications that the
// modules cite. docs/conformance.md, which TestTheTableIsComplete renews with
// -update, says for each module that it passes or why it does not apply.
//
// The tests named TestSec_O are the rows of the security requirements.
package conformance

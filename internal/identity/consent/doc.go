// Package consent is the step of an interaction in which a user allows a client
// what it asks for, or, having allowed it before, clicks to go on.
//
// A consent covers exactly what the page showed to the user whom it named: a
// form that was shown to somebody else is shown again.
package consent

// Package self is the account area: what people see and change about
// themselves on pages of the Identity Provider.
//
// Looking needs a sign-in; changing how one signs in needs one of the last five
// minutes, with the second factor if there is one. Whoever lacks it is led
// through an interaction of our own and comes back.
package self

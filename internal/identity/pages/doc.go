// Package pages has the screens of the Identity Provider: signing in and up,
// proving an address, consent, signing out, and what went wrong.
//
// A screen is a struct with what varies; Screens adds the texts and the
// headers. Screens know no services: the steps of an interaction fill them in.
// All that people or clients named is escaped, and names are isolated, so that
// they can neither become markup nor turn the text around them.
package pages

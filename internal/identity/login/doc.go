// Package login is the step of an interaction in which a person signs in with
// a password, and the pages by which strangers become users: sign-up and the
// proof of an address; and those by which users who have lost their password get
// another.
//
// A wrong password shows the form again with the tries that are left, the same
// for names that do not exist.
package login

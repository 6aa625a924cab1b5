// Package challenge is the step of an interaction in which a person proves a
// second factor, or sets one up because their role requires it.
//
// Only somebody who has given a first factor in the same interaction, or is
// signed in, is told whether a code is right. After five wrong ones the
// interaction begins anew.
package challenge

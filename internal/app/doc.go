// Package app puts the program together. NewCore opens what every command
// needs; NewServer adds the two HTTP services on top. Read the constructors
// from top to bottom: they are the dependency graph.
package app

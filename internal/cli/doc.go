// Package cli is the command line: one file per command. Data goes to stdout,
// messages to stderr. Every command takes the settings of package config as
// flags and is safe beside a running server. Exit statuses follow sysexits.
package cli

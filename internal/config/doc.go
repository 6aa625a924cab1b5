// Package config is every setting of the program in one typed struct, and the
// only package that reads the environment.
//
// A setting has one name in four spellings: the flag --api-addr, the variable
// REPHLO_API_ADDR in the environment, the same line in the file that --config
// names, and api_addr in what `rephlo config print` shows. All four come from
// the setting tag of the field, and so do the reference page
// docs/configuration.md and the flags of the command line.
//
// Precedence: flag, environment, file, default. An empty value in the
// environment or the file counts as not set, because container tools pass
// empty variables on. Secrets have no flag of their own: they come from the
// environment, the file, or a file named by NAME_FILE (--name-file).
//
// Load reports all mistakes of a run at once, each with its place; a name that
// no setting has is a mistake too. Names beginning with REPHLO_TEST_ are left
// to the tests.
package config

// Package setting keeps what operators change while the service runs: typed,
// checked, versioned, and in effect on all servers within seconds.
//
// A category is written as a whole and becomes a new version; no version is
// changed or deleted, so each can be restored. Values are read from memory. A
// change is told over the bus; whoever misses that looks again every few
// seconds. What the environment fixes is read-only and says so. Secrets are
// sealed and never shown, but for their last four characters.
//
// Only what has an effect is listed: a key is declared in keys.go, next to
// nothing else, and read where it works.
//
// Tables: setting_version.
package setting

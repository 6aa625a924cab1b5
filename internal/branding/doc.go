// Package branding is what a product's public site needs: the versions of its
// programs and where to download them, what people say of it, and the
// diagnostics that they send.
//
// A download is counted by day, system and version. Of the visitor only a keyed
// hash is kept, to count each once a day; its key is random, lives a month and
// is then forgotten, so that nobody can compute the hash of an address later.
//
// Diagnostics are stored whole, sealed, in the database, where every server
// finds them. What is taken is decided by the content, not by what the sender
// says of it; archives are unpacked to nowhere to know what they hold. They are
// deleted after 90 days.
//
// Tables: branding_version, branding_download, branding_visitor, branding_month,
// branding_feedback, branding_diagnostic, branding_file.
package branding

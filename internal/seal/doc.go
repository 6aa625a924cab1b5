// Package seal protects what is stored: secrets are encrypted under the
// instance's master key, passwords are hashed.
//
// Box seals with AES-256-GCM and a random nonce. The associated data names the
// place of a value (table|column|row), so a sealed value cannot be moved to
// another row. Passwords are hashed with argon2id in a bounded pool, because
// each hash takes 46 MiB: without a bound a crowd at the door would be an
// outage.
package seal

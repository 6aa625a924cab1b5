package mfa

// For tests that stand in for an authenticator app, and the fuzz target.
var (
	CodeAt     = codeAt
	DigitsOf   = digitsOf
	RecoveryOf = recoveryOf
)

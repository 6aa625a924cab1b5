package oauth

import (
	"errors"

	"github.com/rephlo/rephlo/internal/fault"
)

// Refusals of the token endpoint (RFC 6749 section 5.2, RFC 8707 section 2)
// and of the endpoints that take its tokens.
var (
	ErrInvalidRequest   = fault.New(fault.Invalid, "invalid_request", "The request is malformed.")
	ErrInvalidClient    = fault.New(fault.Unauthenticated, "invalid_client", "The client is unknown or its authentication failed.")
	ErrInvalidGrant     = fault.New(fault.Invalid, "invalid_grant", "The code or token is wrong, expired, revoked or was already used. Sign in again.")
	ErrUnauthorized     = fault.New(fault.Invalid, "unauthorized_client", "This client may not use this grant.")
	ErrUnsupportedGrant = fault.New(fault.Invalid, "unsupported_grant_type", "The grant_type is not supported.")
	ErrInvalidScope     = fault.New(fault.Invalid, "invalid_scope", "The scope is unknown or goes beyond what was granted.")
	ErrInvalidTarget    = fault.New(fault.Invalid, "invalid_target", "The resource is unknown or was not authorized.")
	ErrSlowDown         = fault.New(fault.RateLimited, "slow_down", "Too many requests from this address. Wait before the next.")
	// ErrInvalidToken answers an access token that is malformed, expired,
	// revoked, or meant for something else (RFC 6750 section 3.1).
	ErrInvalidToken = fault.New(fault.Unauthenticated, "invalid_token", "The access token is invalid, expired or revoked. Sign in again.")
)

// ErrExpired is the cause of ErrInvalidToken when the token is ours and its
// time is over.
var ErrExpired = errors.New("access token: expired")

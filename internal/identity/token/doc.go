// Package token is the token endpoint (RFC 6749 section 3.2) with the grants
// authorization_code and refresh_token, and the revocation endpoint (RFC
// 7009).
//
// Access tokens are JWTs as RFC 9068 wants them; nothing is stored for one. A
// code or refresh token is consumed in the transaction that makes what is
// given for it, so a failure of ours consumes nothing: the answer is then 503
// temporarily_unavailable and the client may try again.
package token

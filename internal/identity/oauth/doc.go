// Package oauth holds the rules of OAuth 2.1 and OpenID Connect as pure
// functions over typed values: which authorization request is allowed, which
// redirect URI matches, which scopes and which audience a token gets, what a
// token says and whether one that is presented is genuine.
//
// It knows neither HTTP (but for the error writer of RFC 6749 in http.go) nor
// SQL, so each rule can be tested alone and each parser of outside bytes has a
// fuzz target. Clients, keys, users and revocations come as arguments.
//
// An authorization request fails in one of two classes. Before the redirect
// URI is known to belong to the client, the refusal is shown on a page of ours
// (Error.Page); afterwards it returns to the client (RedirectError).
package oauth

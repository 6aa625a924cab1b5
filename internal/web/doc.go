// Package web is the HTTP plumbing of both services: handlers that return
// errors, typed JSON routes, the one place that turns an error into an answer
// and a log line, and what every answer carries (request id, security headers,
// CORS).
//
// A Handler either writes a response and returns nil, or writes nothing and
// returns an error. The error's fault decides the answer; its cause goes to
// the log and never to the client. A surface with its own error shape (an LLM
// dialect, OAuth, a page) mounts its routes with Errors.
package web

// Package anthropic is the dialect of Anthropic's clients: the Messages API
// (docs.claude.com/en/api/messages), and the errors of all its endpoints.
package anthropic

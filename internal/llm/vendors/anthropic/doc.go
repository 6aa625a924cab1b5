// Package anthropic speaks Anthropic's Messages API: it forwards calls of the
// same dialect as they are, and writes requests of others as messages.
//
// What the service is strict about is put right on the way, with a warning
// where it changes what was asked: neighbours of one role are merged, blank
// texts are left out, results of tools come first and in the order of the
// calls, the budget of thinking fits the output limit, and thinking is off
// where it cannot be on (docs.claude.com/en/api/messages).
package anthropic

// Package openai speaks OpenAI's protocol to OpenAI, and through vendors/compat
// to every service that has it too.
//
// Chat completions are forwarded as they are; requests of other dialects are
// written as chat completions and the answers read as events.
package openai

// Package openai is what clients with OpenAI's protocol get from us that no
// vendor wrote: errors, as an answer and as the last event of a stream.
package openai

// Package openai is the dialect of OpenAI's clients: chat completions, and the
// errors of all its endpoints.
package openai

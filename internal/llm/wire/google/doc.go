// Package google has the JSON of Google's Gemini API (v1beta,
// ai.google.dev/api/generate-content) that Rephlo reads or writes as structs.
// Names are matched as protocol buffers' JSON has them: maxOutputTokens and
// max_output_tokens are the same field.
package google

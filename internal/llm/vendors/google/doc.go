// Package google speaks Google's Gemini API (ai.google.dev/api/generate-content,
// v1beta) to Google: it forwards generateContent as it is and translates what
// other dialects ask for.
//
// A stream is always asked for as an event stream (alt=sse). It has no terminal
// event: it is complete when a candidate has ended and the vendor's bytes end
// properly. Every event repeats the usage so far; the last one counts.
package google

// Package google is the dialect of Google's Gemini API: generateContent and its
// stream (ai.google.dev/api/generate-content, v1beta). The model and whether
// the answer is a stream stand in the path, so whoever decodes sets them.
package google

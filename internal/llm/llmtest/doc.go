// Package llmtest has fake services for tests: they speak a vendor's protocol
// over a real connection, record what they were sent, and answer, fail or break
// off as a test says.
package llmtest

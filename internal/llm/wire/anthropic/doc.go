// Package anthropic has the JSON of Anthropic's Messages API
// (docs.claude.com/en/api/messages) that Rephlo reads as structs.
package anthropic

// Package openai has the JSON of OpenAI's protocol that Rephlo reads or writes
// as structs. Requests and answers of the same-dialect path are not decoded, so
// they are not here.
package openai

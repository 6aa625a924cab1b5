// Package openai speaks OpenAI's protocol to OpenAI, and through vendors/compat
// to every service that has it too.
//
// Chat completions are forwarded as they are. Only a 200 in the announced form
// is a reply; everything else becomes an llm.Failure, because the vendor's text
// may name the operator's account. Nothing of the caller's headers is sent on.
package openai

// Package test is a built-in vendor that needs no network and no account, so
// that a fresh install answers and tests are repeatable. It gives the bytes
// that OpenAI would, through the same code as every vendor.
//
// The same request has the same answer: ids come from the request's hash, four
// bytes of text are a token, and there is no clock but the delays asked for.
//
//	test-echo        repeats the last user text
//	test-slow        as with delay=2s interval=100ms
//	test-error-429   as with error=429:1
//	test-cut-stream  as with cut=5
//
// A line "#test k=v …" in the last user message says what happens instead:
//
//	delay=2s interval=100ms     before the answer, between two events
//	tokens=100                  length of the text
//	reasoning  reasoning=50     reasoning before it, in tokens
//	tool=name:{…}               a tool call; repeated: parallel ones
//	json={…}                    the text
//	error=429:1  error=529@5    a status with Retry-After; an error event after event 5
//	cut=5  stall=5              the end, or silence, after event 5
//	bad=line|json|utf8@5        event 5 is broken
//	usage=none|zero|negative|huge  cached=10
//	finish=length|refusal
//
// In an answer that is not a stream, the numbers of events have no meaning:
// cut, stall and bad concern the body.
package test

// Package llm has the vocabulary of model calls: what is asked of a vendor
// (Call, Target), what comes back (Reply, Usage) and what can go wrong
// (Failure).
//
// A Vendor is a protocol, not an account: it keeps nothing between calls and
// each call brings its Target. A vendor's failure never travels as it came,
// because its text may name the operator's account; it becomes a Failure, whose
// Fault is what the client is told and whose Kind is what routing goes by:
//
//	kind          client                      other target?  breaker
//	Invalid       400 invalid_request         no             no
//	Context       400 context_length_exceeded no             no
//	Policy        400 content_policy          no             no
//	Image         400 invalid_image           no             no
//	Size          413 request_too_large       no             no
//	Auth          502 provider_auth_failed    yes            no, a strike
//	Quota         503 model_unavailable       yes            no, cools 1 h
//	Rate          429 upstream_rate_limited   yes            no, cools
//	UnknownModel  503 model_unavailable       yes            no
//	Server        502 upstream_error          yes            yes
//	Connect       502 upstream_error          yes            yes
//	Timeout       504 upstream_timeout        yes            yes
//	Protocol      502 upstream_error          yes            yes
//	Cut           502 upstream_error          yes            yes
//	Canceled      502 upstream_error          no             no
//	Unable        400 unsupported_parameter   yes            no
//
// # The hub
//
// Clients speak a Dialect, services a vendor's protocol. Where both are the
// same, bytes are forwarded (Vendor.Forward and package relay). Between
// different ones stands the hub, so that N dialects and M vendors need N + M
// translations:
//
//	body --Dialect.Decode--> Request --Streamer.Stream--> Event… --Encoder--> bytes
//
// A Request has a field for each concept that two protocols or more have; what
// only one has is Extra. Each field has a Class, which says what becomes of it
// where the target lacks it: refused, dropped with a warning, or dropped. Both
// sides keep to this:
//
//   - Nothing is lost in silence. A decoder notes what it does not know in
//     Request.Warnings; a vendor notes what it cannot say with Notes, whose
//     warnings travel in the Head of its EventStart.
//   - The same Request for the same Target is the same bytes: fixed order, no
//     time, no chance. So a vendor's prompt cache hits.
//   - Numbers, schemas and arguments are the client's bytes.
//   - A tool's id is kept where the receiver takes it, else coded (ToolID), by
//     the encoder that writes it; decoders map it back (OriginalID). A name that
//     a vendor refuses is replaced and mapped back by the vendor (Names).
//   - State is what a vendor wants back unread. Encoders of dialects wrap it
//     (State.Wrap) unless it is of the dialect's own protocol; a vendor takes
//     only its own (State.For) and drops another with a warning.
//   - Of an answer that is a stream and of one in one piece the same events
//     come. A vendor that sends only whole calls or messages has one event each.
//   - What a vendor imitates, such as structured output by a forced tool, it
//     maps back itself: no dialect knows of it.
//
// Events are described at EventKind. A stream that ends without the vendor's
// sign that it is complete is ErrCut, never an end.
//
// To add a dialect: implement Dialect in dialect/<vendor>, add its Op, and a
// line to the gateway's table of operations. To add a vendor: implement Vendor
// and Streamer in vendors/<name>, and add it to the map in package app. For
// both, llmtest.Conversations runs every file in testdata against them.
package llm

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
package llm

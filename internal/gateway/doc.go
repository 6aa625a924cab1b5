// Package gateway carries model calls: POST /v1/chat/completions to a vendor
// that speaks the same dialect.
//
// A call is authenticated from its head, read into a bounded buffer, scanned
// once, resolved to a model, priced at the most it can cost, and that much is
// held. The vendor is called at the same moment. Two gates order the money and
// the bytes: nothing reaches the client before the hold is durable (gate A),
// and the last event of a stream, or a JSON answer as a whole, waits until the
// settlement is durable (gate B).
//
// Before that, who calls must be allowed the model (by tier and key), the model's
// constraints are applied to the parameters, and permits are taken of the limits
// of the user and of the key; they go back when the call is not admitted.
//
// Which deployment is tried, and what a failure means for the next call, is
// package route's to say; a model's fallbacks follow when its deployments have
// failed. Until the first content has gone out another may answer. A deployment
// that has used up limits of its own is passed over like one that is unwell; they
// are kept by the same counters as those of people, so all processes share them.
//
// # How calls end
//
//	refused by us, or by the vendor before content   released
//	complete, usage reported                         what was reported
//	complete, no usage                               counted, marked estimated
//	vendor broke after content                       reported so far, else counted
//	client left a stream after the vendor's head     reported so far, else counted
//	client left a stream before the vendor's head    released
//	the same, of a provider that bills to the end    read on for up to 15 s: reported
//	client left a call without stream                read on for up to a minute: reported
//	our shutdown, a panic, a write that took too long  as a vendor that broke
//
// Counted is the estimate of the input without its margin, and the tokens of
// the output that arrived. A charge is never above the hold. Each hold ends
// exactly once, whatever happens to the call: the deferred end of a call
// settles what nothing else settled.
//
// # Concurrency
//
// A call runs in the goroutine of its request; there is no queue between the
// vendor and the client. Time is kept for all calls by one goroutine, the
// pulse, which looks at the open calls a few times a second: it cuts bodies and
// writes that take too long, tells quiet streams that we are still there and
// gives up on answers that nobody waits for. So a call needs no timer.
package gateway

// Package webhook tells users' own servers what happened to their accounts.
//
// An event is written in the transaction that causes it, together with one
// delivery for each endpoint that wants it, so it is told exactly when it
// happened. A delivery is tried eight times within about a day, and its body
// and id are the same each time: receivers see it at least once.
//
// # Queues
//
// Each endpoint has a queue of its own. A task of package job wakes the queue
// of one endpoint; in a process one goroutine at a time works on it, so a
// receiver that hangs holds up its own deliveries only. A delivery is claimed
// by one statement, so two processes do not send it together.
//
// # Signatures
//
// Bodies are signed as Standard Webhooks say: HMAC-SHA256 over id, timestamp
// and body with a secret that is made here, shown once and stored sealed. For a
// day after it was changed both secrets sign.
//
// An endpoint that answers 410, or has answered nothing good for five days, is
// switched off, and its owner is told.
//
// Tables: webhook_owner, webhook_endpoint, webhook_event, webhook_delivery,
// webhook_attempt.
package webhook

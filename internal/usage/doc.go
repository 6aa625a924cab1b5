// Package usage records what was called, what it used and what it cost: one
// record per model call, written once and never changed.
//
// A call with a hold gets its record from the ledger, in the transaction that
// settles it (Service implements credit.Records), so charges and records match
// one to one: `rephlo ledger verify` compares them. A call without a hold, free
// or refused after it was admitted, is recorded by Add.
//
// A hold carries its unfinished record as a journal. When the process dies, the
// ledger settles the hold from it and Recovered makes the record.
//
// Records hold counts and prices, never a prompt or an answer. What the vendor
// asks of us is for administrators; the user endpoints do not show it.
//
// Statistics come from summaries by quarters of an hour, which a job builds from
// the records and builds again for the last hours and, once a day, the last
// days; what is newer than they are is read from the records, so a sum is exact
// and costs the same however many records there are.
//
// Tables: usage_record, usage_summary, usage_summary_mark.
package usage

// Command lists measures every list and page of administration, and every list
// that people have of their own, on a large database: how long an answer takes
// through the real router, against the budget, and how the database runs what
// is too slow.
//
//	make bench-lists
//	go run ./bench/lists -users 100000 -usage 1000000 -db sqlite -json out.json
//
// The requests are made from the OpenAPI document: each GET with no filter, with
// each value of each sort and filter, with filters that find nothing, with pairs
// of a filter and a sort or a time, and with the cursor of the first page.
//
// Its test does the same on a small database and looks at plans instead of
// clocks: a statement that reads a large table from end to end has to be on a
// list that says why it may.
package main

// Package job does work later, or on a schedule, and is sure to do it: a task
// is a row, written in the transaction that causes it, so it exists exactly
// when its cause does.
//
// # Once across processes, at least once in all
//
// Any number of processes may run the same kinds. One statement claims a task
// for a while; the claim is renewed while the handler runs and ends with its
// process, after which another takes the task over. The attempt's number is the
// fence: a process that was taken over can neither finish nor renew its task,
// and its handler's context is cancelled. Because a handler may be cut off
// after its effect, effects need keys of their own: doing a task again must
// change nothing.
//
// A handler that returns an error is tried again after a pause that grows, and
// at last the task is dead: it stays visible, and an administrator can have it
// tried again.
//
// # Schedules
//
// A schedule's run is a task whose key is the name and the time it was due, so
// many processes enqueue it once. A run that was missed while nothing ran is
// caught up once, however long that was. While a run has not ended the next is
// not enqueued.
//
// Clocks of processes need to agree within seconds only: a claim that is taken
// over too early costs a second run, which changes nothing.
//
// Tables: job_task.
package job

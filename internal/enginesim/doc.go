// Package enginesim is a simulated asynchronous engine: it takes signed create-task packages as Corezoid's API does,
// answers them, and later calls each task's __callback_url, over real sockets.
//
// What it does with a task is a [Behaviour]. The engine has one for all tasks ([Config.Behaviour]); a task overrides
// any part of it in the member "__sim" of its data:
//
//	{"amount": 5, "__sim": {"delay_ms": [20, 50], "duplicates": 2, "ack": "hang"}}
//
// The result that the engine reports is, unless a body is chosen, the task's data without __callback_url and __sim,
// so that whatever a client sends comes back to it.
//
// A request to any other path with a header X-Callback-Url is taken too, as engines of plain HTTP take it: its body is the
// data of one task.
//
// # One task
//
// A package is verified and read. Each of its create ops becomes a task and is answered, unless its Ack refuses it. The
// task's callbacks (1 + Duplicates) are put into the schedule, or straight into the queue when they have no delay, and may
// therefore overtake the engine's own answer, as they may in life; with [CallbackBefore] they surely do. A worker sends a
// callback over a kept connection. No answer, or a 5xx, and it goes back into the schedule for RetryDelay, at most Retries times.
//
// An Ack that spoils the HTTP answer (hang, reset, http_500, ...) still leaves a task behind, which is the case that a
// gateway must get right; add "callback":"never" for an engine that lost the task too. Acks that refuse the package or
// the op leave none.
//
// # Goroutines
//
//   - accept: one; ends when Close closes the listener
//   - one for each connection that was accepted; ends when either side closes it
//   - schedule: one; sleeps until the earliest delayed callback is due
//   - workers: Config.Workers; send callbacks
//
// [Engine.Close] closes every connection and waits for all of them.
package enginesim

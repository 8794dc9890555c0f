// Package gateway is the trip of a synchronous request through an asynchronous engine, over HTTP.
//
// A client posts a request and waits for its result on the same connection. The engine accepts the request at once and calls back
// with the result later, at a URL that the gateway put into the request. Between the two the client is parked: its connection stays open
// and costs no goroutine and no buffer.
//
// # The trip
//
//	client                     gateway                                  engine
//	  | POST ----------------> Accept: verify, read ops  (no I/O)
//	  |                        Park: id, deadline        (no I/O)
//	  |                        Encode: tokens, signature -> POST         (one round trip)
//	  |                        Ack <---------------------- its own answer
//	  |                        parked
//	  |                        Deliver <------------------ POST callback, on any node
//	  | <--------------------- Answer: the callback's bytes, unparsed
//
// trip.go is that page in code. A trip is in the correlator's table under one ID, however many ops it has. The token in an op's callback
// URL carries the ID and the op's index, so that any node can find the node where the trip is parked.
//
// Everything that happens to a parked trip is an event (event.go): a callback is delivered, the deadline passes, the client hangs up, the
// engine refuses, a drain ends. The first event that leaves no op open, or ends the wait, decides the trip, and its goroutine answers the
// client. The exchange then says whether the reply was written (Replied). Only now do the callbacks that completed the trip get their own
// answers: the result is on the client's connection, or it has to be stored first.
//
// What the client leaves unfinished, at the deadline, at a drain, or after an unusable answer of the engine, is saved as a record before the
// reply says where to fetch it. Later callbacks go to the record (task.go).
//
// A request with an Idempotency-Key is bound to its key before it is parked (claim.go). A repeat, on any node, finds the key bound and joins
// the trip that has it. A client that fetches a result and prefers to wait for it joins in the same way.
//
// # Clients that do not wait for the result
//
// A dialect says how the client of a call waits: Hold, HandOver, Stream (package dialect). A trip that hands its client over is claimed before it
// is forwarded, so that it has a record (handover.go). When the engine has taken the task the client is answered with the task's place, or
// its connection becomes a stream of the task's events (stream.go). Both ends of a trip, and the streams, read the same record.
//
// An engine reports progress by callbacks that are not final. The correlator numbers them, merges them into the record, and brings them to the streams.
// Progress moves the deadline of a held client if its route has an idle time. opstate.go says how far an op has come, ends those that have no more time, and
// lays a result over the progress before it, where the engine is configured so. A client that cancels a task, or leaves one that nobody else wants, ends it
// with a final of the gateway's own; the engine is asked to stop (cancel.go).
//
// # Ops with names
//
// An op can have a name, under which others complete it through Deliver (names.go). A call with names has them bound when its trip is in the table,
// and before the engine can know it. An op that is Local is completed by name alone, and the engine does not get it. The names hear what the engine
// has answered, and when the wait has ended: before the client knows, where every op has its result.
//
// # What operators see
//
// reason.go has the words: why a request was refused, and how it ended. observe.go writes the one line that each create request has in the log, and
// has it counted and remembered. operators.go gives facts to package whereabouts, which remembers trips and finds them, to package metrics, and to
// package admin, which answers operators. late.go has the lines about callbacks that nobody waits for, or that were refused.
//
// # Traces
//
// A trip can be part of a trace. trace.go says to a Tracer when a request begins, under which id it is parked, how its exchange with the engine and the
// request itself ended, and which callbacks came. Package tracing makes spans of that. Without a Tracer a trip has a nil pointer.
//
// # Packages around it
//
// Package httpserver reads requests, suspends them and writes replies; route.go is its Handler, and a trip is its Waiter. Package upstream
// has the connections to an engine; a trip is its Call (forward.go). Neither knows what a trip is. Package dialect says what a convention has to know:
// dialects word what clients say, and engines what engines say. Only package partner calls them: they may panic, and nobody else suffers. Each engine has its
// own connections, breaker and limits (engine.go). fault.go has the one table from error to answer, and the headers that every answer gets.
//
// Package quota counts what logins, routes and addresses use (admit.go). Package taskmeta has the form in which a record says what a reply needs beside its
// finals. Package retryqueue saves what the store could not take, and package cancelqueue asks engines to cancel until they answer. Package eventstream has the
// connections of streams, and package median remembers how long the tasks of a route take. Package cors answers pages of browsers, and package tlsfiles has the
// certificate of the listeners.
//
// # Invariants
//
//	I1  A trip is in the table before the engine can know its id.
//	I2  One final per op, one reply per request, and it is its own.
//	I3  Every trip is closed exactly once; after a drain the table is empty.
//	I4  No byte of a request's buffer is reachable after its handler.
//	I5  Nothing blocks Deliver.
//	I6  A client's own __callback_url never reaches the engine.
//	I7  A secret or a whole token is never in a log, an error or a dump.
//	I8  Verifying costs the same for every wrong signature and login.
//	I9  A drain refuses no callback while a trip is parked.
//	I10 Memory is bounded under any load.
//
// # Goroutines
//
//	work.run        one per client or callback that is being answered and whose answer asks the store, one per callback that nobody
//	                waits for, one per deadline that has passed, one per request of an operator, and one per request that a dialect
//	                answers itself, for as long as Route.Wait says; ends with the answer. One while operators listen to how the
//	                node is; ends with Close. One per modify that waits for its task's name (Go); ends with the trip of its package
//
// Loops of package eventloop run everything else: they call the Handler, the Waiter, the Call, and callbacks run on them up to the reply.
// Deadlines and the callbacks of other nodes come on the correlator's goroutines, and heartbeats of streams on that of their timer wheel. None
// waits for a client, an engine or the store.
//
// # Words
//
//	trip        one create request from acceptance to reply
//	op          one operation of a request; a create op is parked until its callback
//	call        what a dialect has read from a request
//	callback    the engine's message with the result of an op
//	token       the unguessable part of a callback URL; it completes one op and nothing else
//	task id     the unguessable name under which a client may fetch a result later
//	park        to put a trip into the table and leave its client waiting
//	deliver     to hand a callback to its trip
//	name        what an op is known by beside its token
//	deadline    when the client is answered in any case
//	final       the callback, or the engine's own answer, that ends an op
//	outcome     how a trip ended, in one word
//	reason      why a request was refused, in one word
//	key         the client's name for a request; a repeat with the same key makes no second task
//	claim       to bind a key to a trip
//	join        to wait for another trip, which has the key
//	record      what is kept of a trip for a client that comes back
//	event       one report of progress; it is numbered, and no event follows the final of its op
//	stream      a connection that hears the events of a task
//	engine      who does the work and calls back
//	dialect     how clients speak
//	fault       an error with its public answer
//	drain       the way to the end of a node: no new trips, parked ones are answered
//	home node   the node that has the trip in its table
//	exchange    one HTTP request and its answer; a suspended one waits without a goroutine
package gateway

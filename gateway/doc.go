// Package gateway is the trip of a synchronous request through an asynchronous engine, over HTTP.
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
// trip.go is that page in code. A trip is in the correlator's table under one ID, however many ops it has; the token in
// an op's callback URL carries the ID and the op's index, so that any node can tell where the trip is parked.
// Everything that happens to a parked trip is an event (event.go): delivered, expired, acked, failed. The first that
// leaves no op open, or ends the wait, decides the trip, and the reply is written. The connection (conn.go) then tells the
// trip what came of it, and only now do the callbacks that completed it learn whether their result is on the client's
// connection, or has to be stored.
//
// # Who runs
//
// A few loops (loop.go), two for each processor, hold the plain connections (held.go, socketset.go), and do what needs nobody
// to wait: they read requests and callbacks that come whole and serve them in place (desk.go), and they read the engine's
// answers (flight.go). The request to the engine is written by whoever has the trip, and the reply by whoever delivers the
// callback. So a trip takes three reads and three writes, and no goroutine of its own.
//
// All else is fasthttp's: large bodies, TLS, PROXY protocol, pipelined or unusual requests, those with an Idempotency-Key, which
// wait for the store. A goroutine has their connection while it serves a request. A client that waits for more than a moment
// gives that back, with all buffers, and only its connection is kept (park.go), and so it is with one that idles between two
// requests (idle.go).
//
// What the client leaves unfinished (at the deadline, at a drain, after an unusable answer of the engine) is saved as a
// record before the reply says where to fetch it; callbacks that come later go to the record.
//
// A request with an Idempotency-Key is bound to its key before it is parked (claim.go). A repeat, on whatever node, finds
// the key bound and attaches to the trip that has it instead of making its own; so does a client that fetches a result
// and prefers to wait for it (task.go).
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
//	listener.run     one per listener; fasthttp's accept loop, ends with Close
//	loop.run         two per processor; serves what the kernel tells of the sockets of its set, ends with Close
//	fasthttp         one per connection that has a request for fasthttp in work, or has had one a moment ago; a client that
//	                 has not waited long is held by it, blocked in trip.wait
//	conn.serve       the same for a connection of a loop with a request that is fasthttp's
//	trip.resume      one per client of fasthttp's that is being answered; goes on to serve the connection, as fasthttp's do
//	trip.resumeHeld  one per client of a loop's that is being answered by another event than a callback, as that may have to
//	                 be stored; ends with the reply
//	conn.finish      one per answer that its peer has not taken at once, for as long as the write time-out
//	conn.expire      one per connection with TLS whose idle time is over; says good-bye, for five seconds at most
//	enginePool.end   likewise, for a connection to the engine
//	gateway.answerLater  one per callback that a loop has read and that has to wait for a trip of this node; ends with its answer
//	watcher.run      one; sees clients hang up that fasthttp has parked, looks at time-outs, ends with Close
//	tidier.giveBack  at most one; gives memory back after a burst of clients, ends with that
//	debts.run        at most one; saves what the store could not take, ends when nothing is owed or with Close
//	forwarder.landed one per answer of the engine that a loop has read and that says more than that the tasks are taken, as that
//	                 may have to be stored
//	forwarder.work   at most engine.max_connections; exchanges with the engine that have to wait, ends after ten idle seconds or
//	                 with Close
//
// Events are called by loops, by the correlator's goroutines (deadlines, other nodes' callbacks) and by callback handlers. None of
// them waits for a client: a reply that a connection does not take at once is left to conn.finish.
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
//	deadline    when the client is answered in any case
//	final       the callback, or the engine's own answer, that ends an op
//	key         the client's name for a request, so that a repeat of it is not a second one
//	claim       to bind a key to a trip
//	join        to wait for another trip, which has the key
//	record      what is kept of a trip for a client that comes back
//	engine      who does the work and calls back
//	dialect     how clients speak
//	fault       an error with its public answer
//	drain       the way to the end of a node: no new trips, parked ones are answered
//	home node   the node that has the trip in its table
//	loop        a goroutine that serves many sockets, as the kernel tells of them
//	flight      an exchange with the engine that holds no goroutine
package gateway

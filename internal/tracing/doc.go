// Package tracing records trips as spans of OpenTelemetry, and sends them to a collector by OTLP over HTTP.
//
// A trip is in the trace of its client's traceparent, or in a trace of its own. Its id says that it is recorded (correlator.ID.Trace), and so does each of its
// tokens: the node that gets a callback knows by the token alone whether to make a span. The trace itself has no room in a token. The home node keeps it,
// and, where nodes share Redis, writes it there for the others, under a key that expires. A node with a callback of another's trip asks for it in the
// background, when the callback is answered. So nobody waits for it, and the table of trips and its callbacks do not know of traces.
//
// Spans wait in a queue with a bound. One that finds no room is dropped and counted. A collector that is slow, away or hangs costs the
// memory of that queue and one batch.
//
// # Goroutines
//
//	exporter.run  sends spans; ends in Close
//	sharing.run   writes traces to Redis and asks for them, only with Redis; ends in Close
//
// There is one of each. A panic costs exporter.run the batch that it sends, as it reads what collectors answer. No code of others than ours and of the client of Redis runs on
// sharing.run, which does not recover.
package tracing

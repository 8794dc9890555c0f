// Package dialect says what a convention has to know: how clients speak (Dialect), and how work is asked for (Engine). The gateway calls both. A package
// below this one knows one convention, on the side of clients, of the engine, or of both; it parks nobody, opens no connection and knows no gateway.
//
// # One request
//
//	Dialect.Route      what does the path ask for?                     route.go
//	Dialect.Accept     verify, read: the Call                          call.go
//	Engine.Prepare     word what a route asks for; other calls are worded by Accept
//	Engine.Encode      the request for the engine, with its tokens     engine.go
//	Engine.Ack         what does the engine's own answer say?
//	Engine.Callback    what does the callback say?
//	Dialect.Answer     the Reply, as the client reads it               task.go
//
// Dialect.Refuse words every Fault (fault.go). Faults have a Reason for operators (reason.go).
//
// # More than that
//
// A dialect that can do more has more interfaces (dialect.go): TaskDialect for clients that come back, StreamDialect for events, PushDialect for
// results that go to others, ResourceDialect for paths that are no tasks, BrowserDialect for origins of its own, RefusalDialect for refusals that depend on
// the request. A Canceller is an engine that can be asked to stop. A Call with Names has ops that others complete by name (CallNames). A Call with
// Options can hand its client over, limit it, and lay results over what was reported.
//
// # What holds for all methods
//
// They are called concurrently, on the goroutines that serve everybody: they must not block, unless their comments say that they may ask a store. They copy
// what they keep: a request's bytes are valid until the method returns. One that panics fails its own request, and no other (package partner).
package dialect

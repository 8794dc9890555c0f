// Package httpserver accepts connections, reads HTTP/1.1 requests, suspends them and answers them. It knows no trip, route, token or
// fault: a Handler has those.
//
// There is one way for every request. Whole or in pieces, small or large, plain, behind TLS or a PROXY header, first on its connection or
// pipelined behind another one: the same scanner checks its head (head.go), the same decoder reads its body (body.go), the same Handler
// serves it, and the same writer sends the answer (reply.go). fasthttp parses the checked head and holds requests and responses.
//
// # A connection
//
// conn.go is the life of a connection. A loop of package eventloop owns it while it reads; a Handler answers at once, or suspends the
// exchange. A suspended exchange holds its connection and nothing else: no goroutine and no buffer. Any goroutine may reply to it, once.
//
//	reading ----> serving ----> (written at once) --------> reading
//	   |             |
//	   |             v
//	   |         suspended --Reply--> writing --> reading
//	   |             |                   |
//	   v             v Abort             v
//	refused       closed         lingering --> closed
//
// A stream goes another way from suspended to writing:
//
//	suspended --Begin--> streaming --End--> writing
//	                         |
//	                         v Abort, a peer that is too slow or lost
//	                       closed
//
// A goroutine serves a connection in two cases only: it waits for a PROXY header and a TLS handshake (greet), and it goes on with
// requests that were pipelined behind a suspended one, or behind an answer that the socket did not take at once (resume).
//
// # A stream
//
// stream.go is an answer whose body is sent in pieces, from any goroutine. Two have the connection by turns, as package eventloop says that
// an owner alone writes and closes:
//
//	conn.unsent is nil      all is written: the exchange owns the connection, as while it was suspended
//	conn.unsent is not nil  the socket was full: the loops have the connection, and Ready continues when there is room
//
// Who sends, ends, aborts or cuts holds conn.mu, so there is one of them at a time and pieces do not mix. In the first case it owns the
// connection. In the second one it does what Ready would do, if TryOwn lets it. If not, a loop or the timer owns the connection at this
// moment; then the piece is put into unsent.queue, an end or an abort into conn.state. Nothing is lost: the goroutine that owns a connection with
// unsent bytes takes conn.mu, writes the queue, does what the state says, and ends its turn before it lets go of conn.mu (conn.turn). So a
// piece is queued before that look, or TryOwn succeeds after it.
//
// An idle stream has nothing that a suspended exchange has not. What a peer sends meanwhile stays in its socket.
//
// # Bounds
//
// A head has at most HeadLimit bytes and comes within Config.HeaderTimeout. A body has at most the bytes that the Handler allows, and
// comes within Config.BodyTimeout. Its memory grows with the bytes that have come, and each growth is charged to a Budget first.
//
// A stream has at most streamBacklog bytes and one piece unsent. A peer that takes none of them for Config.WriteTimeout, or leaves one
// unsent for twice as long, is closed. Listener.Close cuts the streams that are open at its end.
//
// When hardly any descriptor is left, connections that ask for nothing are closed (shed.go), and those that come are served one request each.
package httpserver

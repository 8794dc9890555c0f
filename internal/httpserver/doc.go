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
// A goroutine serves a connection in two cases only: it waits for a PROXY header and a TLS handshake (greet), and it goes on with
// requests that were pipelined behind a suspended one (resume).
//
// # Bounds
//
// A head has at most HeadLimit bytes and comes within Config.HeaderTimeout. A body has at most the bytes that the Handler allows, and
// comes within Config.BodyTimeout. Its memory grows with the bytes that have come, and each growth is charged to a Budget first.
//
// When hardly any descriptor is left, connections that ask for nothing are closed (shed.go), and those that come are served one request each.
package httpserver

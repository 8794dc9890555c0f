// Package upstream makes HTTP/1.1 requests to an engine, over connections that it keeps.
//
// A Client takes Calls. Each one gets a place, of which there are Config.MaxConnections, or waits for one in a queue. A place is a
// connection, or the right to make one. The owner of a connection writes the whole request and only then gives the connection to
// the loops (internal/eventloop), which read the answer when it comes. So an exchange holds no goroutine, and one on a connection that
// was kept allocates nothing.
//
// # A connection
//
// A connection is in one of these phases. Its owner (eventloop.Owner) alone changes the phase, reads, writes and closes.
//
//	phase    it belongs to                  the next event
//	dialled  an exchange, nothing was sent  the goroutine that has dialled, or a loop that was faster, sends the request
//	sent     an exchange                    Ready: the answer is read. Expired: the time-out is over
//	idle     the pool                       takeIdle: a call gets it. Ready: the engine has closed it, or has sent what nobody
//	                                        asked for. Expired: it was idle for long enough. Both close it
//
// A connection is in the pool's list only in the phase idle, and is released to the loops with the pool's mutex held. So while
// the mutex is held, a connection in the list is the loops', or a loop is its owner and will take the mutex to put the connection
// back or to close it.
//
// # Places
//
// A place that becomes free goes to the first call in the queue. So while calls wait, no place is free and the loops have no connection
// of the list: no call overtakes them.
//
// # Goroutines
//
//	Client.dial     at most one for each place; dials, asks a proxy, makes TLS handshakes, sends the first request, and ends
//	Client.settled  one in Close, while that waits
//
// All else runs on the goroutines of those who call Do, Tick and Close, and on the loops.
package upstream

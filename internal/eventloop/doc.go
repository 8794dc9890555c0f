// Package eventloop watches thousands of connections with a few goroutines, and says who may use each of them. It knows no
// protocol but TLS. On Linux it asks epoll; elsewhere each connection has a goroutine, and everything else is the same.
//
// # The rule
//
// At each moment the loops have a connection, or one Owner has it, or it is closed. Only the Owner reads, writes, releases,
// detaches and closes. A turn as Owner begins in one of three ways, and ends in one of three:
//
//	state    who has it     the turn begins by         the turn ends by
//	idle     the loops      -                          -
//	owned    one Owner      Ready: something has come  Release: idle again
//	                        Expired: the deadline      Detach: closed, and a net.Conn has the socket
//	                        TryOwn: somebody wants it  Close: closed
//	closed   nobody         -                          -
//
// What can happen in each state:
//
//	             idle                  owned                                 closed
//	Attach       an error              an error                              idle
//	bytes come   owned, Ready          remembered: Ready after Release       dropped
//	a hang-up    owned, Ready(HangUp)  remembered, HungUp, PeerGone is true  dropped
//	deadline     owned, Expired        looked at again, an Expiry later      dropped
//	TryOwn       owned                 false                                 false
//	an Owner's   ErrNotOwner           done, if the Owner's turn is this     ErrNotOwner
//	 methods                            one, else ErrNotOwner
//
// The state is one atomic word, with a number for each turn. An Owner is a Conn and such a number, so one that somebody has
// kept too long does nothing: it cannot write to the client whose socket has the descriptor's number now.
//
// Write first and release then. After an error other than ErrWouldBlock, a connection is good for Close alone. Who makes a
// hang-up matter only in the middle of a turn, as by parking a client, asks PeerGone after that: HungUp may have been called
// before.
//
// # Events
//
// The loops report what is new, once. Who is called Ready reads until ErrWouldBlock, or until less than all of its buffer is
// filled, or releases and is called again. With TLS, Readable may be a record without data, as a session ticket is: only Read
// knows. Where there is no epoll, a hang-up is seen behind at most 64 KiB of unread bytes. Two loops may take events of the same connection at the same time; the state decides between them.
//
// # Goroutines
//
//	loop.run           two for each processor; serve what is reported about the sockets of a set, end with Close
//	Group.tick         one; keeps the clock and calls Tick, ends with Close
//	timerwheel         one, of that package; looks at deadlines, ends with Close
//	emulated.receive   one for each connection, where there is no epoll; waits for bytes, ends with the connection
//	emulated.send      one for each connection to which the peer owes room, where there is no epoll; ends when all is sent,
//	                   or five seconds after the connection is closed
package eventloop

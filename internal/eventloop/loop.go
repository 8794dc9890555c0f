package eventloop

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

const (
	// loopsPerProcessor is measured: where the system takes a loop's thread off the processor, another loop goes on.
	loopsPerProcessor = 2
	// processorsPerSet is how many processors' loops share sockets: enough that one of them is free, and few that they do not
	// get into each other's way.
	processorsPerSet = 4
	// loopBuffer is the size of the buffer that Ready is given.
	loopBuffer = 16 << 10
)

// loop is one goroutine, which serves what is reported about the sockets of a set.
type loop struct {
	set *socketSet
	buf [loopBuffer]byte
}

// setsOf is how many sets so many processors have, and loopsOf how many loops each of the sets.
func setsOf(processors int) int { return (processors + processorsPerSet - 1) / processorsPerSet }

func loopsOf(processors int) int {
	sets := setsOf(processors)
	return (loopsPerProcessor*processors + sets - 1) / sets
}

func processors() int { return runtime.GOMAXPROCS(0) }

// run serves reports until the set is closed.
func (lp *loop) run() {
	for {
		r, ok := lp.set.take()
		if !ok {
			return
		}
		lp.set.group.hook("taken")
		lp.serve(r)
	}
}

// serve hands a connection to its Socket. If that panics, thousands of others are behind it.
func (lp *loop) serve(r report) {
	c, g := r.conn, lp.set.group
	o, ok, busy := c.report(r.name, r.ev&HangUp != 0)
	defer func() {
		if p := recover(); p != nil {
			if ok {
				c.doom(o, r.name)
			}
			g.panicked(p)
		}
	}()
	switch {
	case ok:
		if r.ev&(Readable|HangUp) != 0 {
			c.flags.set(unread, true)
		}
		if r.ev&Writable != 0 {
			c.flags.set(full, false)
		}
		if c.flags.has(unread) {
			r.ev |= Readable
		}
		r.socket.Ready(o, lp.buf[:], r.ev)
	case busy && r.ev&HangUp != 0:
		r.socket.HungUp()
	}
}

func (g *Group) panicked(value any) {
	if g.o.Panicked != nil {
		g.o.Panicked(value, debug.Stack())
	}
}

func (g *Group) failed(err error) {
	if g.o.Failed != nil {
		g.o.Failed(err)
	}
}

// hook tells a test where a goroutine is.
func (g *Group) hook(point string) {
	if g.o.Hook != nil {
		g.o.Hook(point)
	}
}

// PanicText is what a log may say of a panic beside its stack. Errors of the runtime hold types and numbers. Any other value is chosen by
// the code that panicked and may hold bytes of a request, so only its type is shown.
func PanicText(value any) string {
	if err, ok := value.(runtime.Error); ok {
		return err.Error()
	}
	return fmt.Sprintf("%T", value)
}

package gateway

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"time"
)

// Flights are exchanges with the engine that hold no goroutine: the request is written by whoever has the trip, and its answer is
// read by a loop when it has come. Connecting, TLS, and what cannot be written or read at once are workers'; an answer that says
// more than that the tasks are taken has a goroutine of its own, as it may have to be stored.

// watch has the loops told of a connection's answers, if it can be. The caller has taken it.
func (f *forwarder) watch(e *engineConn) {
	if !e.plain || e.set != nil {
		return
	}
	set := f.g.loops.pick()
	if set == nil {
		return
	}
	bare, err := stripped(e.count.Conn)
	if err != nil {
		return // a worker can have it as it is
	}
	e.count.Conn, e.count.raw = bare, socketOf(bare)
	e.set = set
	entered := false
	_ = e.count.raw.Control(func(fd uintptr) {
		entered = set.enter(e, int(fd), func(name uint64) bool {
			e.name = name
			return true
		})
	})
	if !entered {
		e.set = nil
	}
}

// leave takes a connection, which the caller has, away from its loops, as it is about to be closed.
func (e *engineConn) leave() {
	if e.set == nil {
		return
	}
	e.set.leave(&e.name)
	e.set = nil
}

// dress makes a connection one that can be waited for. The caller has taken it.
func (e *engineConn) dress() error {
	s, ok := e.count.Conn.(*sock)
	if !ok {
		return nil
	}
	if set := e.set; set != nil {
		_ = e.count.raw.Control(func(fd uintptr) { set.poller.remove(int(fd)) })
		e.leave()
	}
	dressed, err := s.dressed()
	if err != nil {
		return err
	}
	e.count.Conn, e.count.raw = dressed, socketOf(dressed)
	return nil
}

// send writes the trip's request on a connection that its caller has taken, and does not wait. False: there is no request, and the
// caller still has the connection.
func (f *forwarder) send(t *trip, e *engineConn, now time.Time) bool {
	out := outs.Get().(*out) //nolint:forcetypeassert // only New fills the pool
	defer out.giveBack()
	var err error
	if out.b, err = f.encode(out.b, t, now); err != nil {
		f.refuse(t, faultOf(err), "unsent", now)
		return false
	}
	f.g.reach(pointLook)
	if e.stale() {
		f.run(job{trip: t, again: e})
		return true
	}
	switch n, err := tryWrite(e.count.raw, out.b, f.g.hook, pointWrite); {
	case err == nil && n == len(out.b):
		f.flying.add()
		f.pool.fly(e, flight{t, now}) // last: from now on a loop may close it, and its number be another socket's
	case err != nil && n == 0:
		f.run(job{trip: t, again: e})
	default:
		f.run(job{trip: t, conn: e, sent: true, rest: bytes.Clone(out.b[n:]), began: now})
	}
	return true
}

// ready is called by a loop: the engine has answered, or closed the connection.
func (e *engineConn) ready(lp *loop, _ told) {
	f := e.forwarder
	sent, ok := f.pool.land(e)
	if !ok {
		if f.pool.closedAtRest(e) {
			f.pool.end(e)
		}
		return
	}
	in := lp.desk.in[:]
	n, err := tryRead(e.count.raw, in)
	if err != nil && wouldBlock(err) { // it was read already
		f.pool.fly(e, sent)
		return
	}
	defer f.flying.done()
	if err == nil && n == 0 {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		f.over(sent, f.conclude(sent.trip, outcome{wrote: true, err: err}))
		f.forwardNext(f.pool.drop(e))
		return
	}
	end, whole := lp.desk.readAnswer(in[:n])
	if !whole {
		f.run(job{trip: sent.trip, conn: e, sent: true, before: bytes.Clone(in[:n]), began: sent.began})
		return
	}
	o := f.read(sent.trip, &lp.desk.answer)
	if end.closes || !o.usable() { // before the client hears of it and asks again
		f.forwardNext(f.pool.drop(e))
	} else {
		e.last = time.Now()
		f.giveBack(e)
	}
	if o.err == nil && o.ack.Package == nil && len(o.ack.Finals) == 0 { // the tasks are taken, which is all that it says
		f.over(sent, statusText(o.status))
		return
	}
	f.running.Go(func() { f.landed(sent, o) })
}

// landed ends an exchange whose answer may have to be stored.
func (f *forwarder) landed(sent flight, o outcome) {
	code := "panic"
	defer func() { f.ended(sent, code, recover()) }()
	code = f.conclude(sent.trip, o)
}

// readAnswer reads an engine's answer that has come whole, with nothing behind it. False: it has not.
func (d *desk) readAnswer(in []byte) (end ending, whole bool) {
	d.bytes.Reset(in)
	d.reader.Reset(&d.bytes)
	d.answer.Reset()
	end, err := readAnswerHead(d.reader, &d.answer)
	if err != nil || end.atClose || readAnswerBody(d.reader, &d.answer) != nil {
		return end, false
	}
	return end, d.reader.Buffered() == 0
}

// ended ends an exchange that may have panicked: then its client stays parked, as the task may exist.
func (f *forwarder) ended(sent flight, code string, panicked any) {
	if panicked != nil {
		f.g.log.Error().Str("panic", fmt.Sprint(panicked)).Bytes("stack", debug.Stack()).Stringer("trip", sent.trip.id).Msg("exchange with the engine panicked")
	}
	f.over(sent, code)
}

// over ends an exchange.
func (f *forwarder) over(sent flight, code string) {
	took := time.Since(sent.began)
	t := sent.trip
	t.engineTime.Store(int64(took))
	f.g.metrics.engine(code, took)
	t.body.release()
	t.call.Body, t.call.Slots = nil, nil // a parked client must not hold what was sent
}

// errLate ends an exchange whose answer has not come.
var errLate = errors.New("gateway: the engine has not answered in time")

// tick ends what has taken too long: flights, waits for a connection, and rests.
func (f *forwarder) tick(now time.Time) {
	for e, sent := f.pool.late(now); e != nil; e, sent = f.pool.late(now) {
		f.over(sent, f.conclude(sent.trip, outcome{wrote: true, err: errLate}))
		f.forwardNext(f.pool.drop(e))
		f.flying.done()
	}
	for t := f.pool.impatient(now); t != nil; t = f.pool.impatient(now) {
		t.failed(errForwardBusy)
	}
	for _, e := range f.pool.stale(now, false) {
		f.pool.end(e)
	}
}

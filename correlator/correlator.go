// Package correlator is the table of who waits for what: tokens that engines
// call back with, the trips that wait behind them, and their deadlines.
//
// What an engine reports while it works are events. They are numbered, merged, and kept with the record of the trip. Those who follow the
// trip hear them in order. An event never changes a final, and no event follows the final of its op.
//
// The table here lives in one process. Package correlator/redis makes one table
// of many processes; package correlatortest holds the contract that both pass.
package correlator

import (
	"context"
	"errors"
	"fmt"
	"time"
)

var (
	// ErrBusy refuses a Park: the table holds as many trips as it may.
	ErrBusy = errors.New("correlator: too many parked")
	// ErrDraining refuses a Park during a drain, and ends a wait when the drain's time is up.
	ErrDraining = errors.New("correlator: draining")
	// ErrDeadline ends a wait whose deadline has passed.
	ErrDeadline = errors.New("correlator: deadline passed")
	// ErrGone says that nothing is known of an id any more, and that nothing is kept for it.
	ErrGone = errors.New("correlator: gone")
	// ErrUnavailable says that the table cannot be reached right now; the same call may succeed later.
	ErrUnavailable = errors.New("correlator: unavailable")
	// ErrFull refuses a Claim: the records that may not be evicted take all the room. It is an ErrUnavailable.
	ErrFull = fmt.Errorf("%w: no room for one more record", ErrUnavailable)
	// ErrOtherBody refuses a Claim: the key was used with another body.
	ErrOtherBody = errors.New("correlator: key was used with another body")
	// ErrTooLarge refuses progress that would make what the engine has reported of an op larger than it may be.
	ErrTooLarge = errors.New("correlator: too much progress")
	// ErrReleased ends the wait of receivers that are attached to a trip that surely made no task.
	ErrReleased = errors.New("correlator: released")
	// ErrForged says that a token or task id was not made with our keys.
	ErrForged = errors.New("correlator: not a genuine token")
)

// Unready is why a Correlator cannot be used. It wraps ErrUnavailable.
type Unready struct {
	Part string // what is missing, in words for anybody: no address, name or secret is in them
	Err  error  // what went wrong, for operators
	Do   string // what they can do about it; may be empty
}

func (u *Unready) Error() string { return u.Err.Error() }

// Unwrap gives what went wrong.
func (u *Unready) Unwrap() error { return u.Err }

// Status says what a Callback reports of its op.
type Status uint8

const (
	// Open is the zero Status: nothing final is known of the op.
	Open Status = iota
	// Complete is final: Body is the result, one JSON value.
	Complete
	// Answered is final: the engine itself answered the op when it was asked, Body is that answer, verbatim.
	Answered
	// Failed is final: there surely is no task, and nothing came that could be shown. Body is empty.
	Failed
	// Errored is final: the engine says that the task has failed. Body is what it says, and may be empty.
	Errored
	// Cancelled is final: the engine or a client has cancelled the task. Body is what the engine says, and may be empty.
	Cancelled
	// Started says that the engine has begun to work on the task. Body is JSON, and may be empty.
	Started
	// Progress says how far the engine has come. Body is JSON, and may be empty.
	Progress
	// TimedOut is final: the engine has not finished the task in the time that it had. Body is empty.
	TimedOut
)

// Final reports whether nothing can follow the status.
func (s Status) Final() bool { return s >= Complete && s <= Cancelled || s == TimedOut }

// Running reports whether the status says that the engine works on the task.
func (s Status) Running() bool { return s == Started || s == Progress }

// String is the word for the status in the header X-Callback-Status.
func (s Status) String() string {
	switch s {
	case Complete, Answered:
		return "complete"
	case Failed, Errored:
		return "error"
	case Cancelled:
		return "cancel"
	case Started:
		return "start"
	case Progress:
		return "progress"
	case TimedOut:
		return "timeout"
	case Open:
	}
	return "open"
}

// Callback is what an engine says about one op of a trip. Body and Head are owned by the Callback.
type Callback struct {
	Op     int // index in the client's request
	Status Status
	Seq    uint32 // of Started and Progress as a follower hears them: their number among all of the trip, from 1; else 0
	Head   *Head  // nil: Body is JSON, and nothing came beside it
	Body   []byte
}

// Head is what came beside the body of a Callback.
type Head struct {
	ContentType string // as it came; empty: there was none
	Fields      []byte // header fields that clients may see, as lines "Name: value\r\n"; may be empty
}

// Superseded is what Deliver returns where an op was final already: the callback counts for nothing. The engine hears that with a 200.
type Superseded struct{ Status Status }

func (s *Superseded) Error() string {
	return "correlator: the op is final already: " + s.Status.String()
}

// Disposition is what a Receiver did with a Callback.
type Disposition uint8

const (
	// Written means that it is on the client's connection: there is nothing to store.
	Written Disposition = iota
	// Held means that the trip has it but the client does not yet: store it before the engine hears 200.
	Held
	// Repeated means that the op was final already; the first one stands.
	Repeated
	// Gone means that the trip is over and left it to the store: store it where a record of the trip is kept.
	Gone
)

// Receiver is the trip. Calls are concurrent, may repeat and must not block; the trip alone decides what is first.
type Receiver interface {
	// Deliver hands over cb. done is called exactly once, perhaps later, by the goroutine that wrote the reply.
	Deliver(cb Callback, done func(Disposition))
	// Expire ends the wait with ErrDeadline, ErrDraining, or ErrReleased.
	Expire(reason error)
}

// Standing is the optional half of a Receiver: it says which ops are final.
type Standing interface {
	// Standing gives the status of an op's final; Open where there is none. It must not block.
	Standing(op int) Status
}

// Correlator is the table of trips. All methods may be called concurrently.
type Correlator interface {
	// NewID makes an id whose token is accepted until expiry. Its home is this node.
	NewID(expiry time.Time) ID
	// Park puts a trip into the table, without I/O, before the engine can know its id. At the deadline r.Expire is
	// called once; the entry stays until Close. It is the only admission: ErrBusy, ErrDraining.
	Park(id ID, r Receiver, deadline time.Time) error
	// Extend moves the deadline of a trip that is parked here under id, without I/O. False: there is none, or its wait has ended.
	Extend(id ID, deadline time.Time) bool
	// Waiter gives the trip that is parked here under id; nil: there is none.
	Waiter(id ID) Receiver
	// Deliver hands a callback on to the trip, at the node where the trip is parked, and returns when the callback is settled.
	//
	// A final is settled when it is written to the client or kept. *Superseded: the op was final before; it has that final's status. A repeat
	// of a final whose record has ended gives nil. ErrGone: the trip is not parked and has no record.
	//
	// A Started or a Progress gets the next Seq and is kept if the trip has a record. Without a record nothing is kept, and the trip hears the
	// event with Seq 0 if it is still parked. The parked trip hears each event at most once, and may miss one; its Disposition does not
	// matter. *Superseded: the op is final. ErrTooLarge: the merged progress would be too large, and the record is as it was.
	//
	// ErrUnavailable: the same call may succeed later; so it is when the context ends. A Head that is too large is an error, too.
	Deliver(ctx context.Context, id ID, cb Callback) error
	// Close takes a trip out of the table and drops what was stored of its callbacks, unless a record is kept for it.
	// It does no I/O that its caller waits for. Closing twice is harmless.
	Close(id ID)
	// Forget closes like Close a trip that ended unfinished with nothing kept: later callbacks hear ErrGone.
	Forget(id ID)
	// Drain refuses every Park from now on and returns when the table is empty. When ctx ends first it calls
	// Expire(ErrDraining) for the rest and waits for their Close.
	Drain(ctx context.Context) error
	// Ready is nil while callbacks can reach this node and this node can reach the others.
	Ready() error
}

// Admitting is a Correlator that can be unready for a moment and still take new trips.
type Admitting interface {
	// Admits is nil while what comes for new trips will reach them, perhaps a little later than usual.
	Admits() error
}

// Relay is the optional half of a Correlator that other nodes share.
type Relay interface {
	// Relay hands on a callback as Deliver does, if its trip is parked at another node, and has nobody wait: done is called
	// exactly once with what Deliver would return, perhaps at once, and must not block. False: the trip is this node's own, and
	// done is not called.
	Relay(id ID, cb Callback, done func(error)) bool
}

// Record is what outlives a trip's connection: enough to write its reply again.
type Record struct {
	// Meta is the gateway's: who asked and how to word the reply. Opaque here.
	Meta []byte
	// Finals holds one Callback per op of the request, Status Open where nothing is final yet.
	Finals []Callback

	// Lookup alone sets what follows: Save and Claim do not read it.

	// Merged holds, for each op, the members of all its events as one JSON object, in order of their names. A later member replaces an
	// earlier one of the same name. An op without members has nil. Merged is nil if no op has members.
	Merged [][]byte
	// Seq is the number of the last event; 0: there was none.
	Seq uint32
	// Last holds, for each op, the status of its last event, Open where there was none. Last is nil if there was no event at all.
	Last []Status
}

// Complete reports whether every op is final.
func (r Record) Complete() bool {
	for i := range r.Finals {
		if !r.Finals[i].Status.Final() {
			return false
		}
	}
	return true
}

// Key is the name that a client gives its request. A repeat with the same key makes no second task.
type Key struct {
	Login string
	Name  string // as the client sent it
}

// Keeper is the optional half of a Correlator: results that outlive the connection, and who may join in waiting for
// them. What is kept is dropped at its retention's end; without a retention only what is claimed is, and until Release. What is kept of marked
// ids is dropped later: Prolong says when.
type Keeper interface {
	// Save stores a record, or more of one. Finals that are stored already stand (first write wins). Receivers that are
	// attached hear of the new ones. Save and Claim do not keep the slice rec.Finals.
	Save(ctx context.Context, id ID, rec Record) error
	// Lookup reads a record with the finals so far. ErrGone: expired, dropped, evicted, or never kept. ErrUnavailable.
	Lookup(ctx context.Context, id ID) (Record, error)
	// Claim binds k to id and saves rec, in one step, unless k is bound to a trip of which there still is a record: then
	// it gives that trip's id, and has changed nothing. ErrOtherBody: it is bound with another fingerprint. ErrUnavailable.
	// Once it has returned, on whatever node, no other id can be bound to k until the record is gone or Release.
	Claim(ctx context.Context, k Key, fingerprint [32]byte, id ID, rec Record) (owner ID, err error)
	// Release undoes a Claim by id that surely made no task, or of which nothing is kept: the key is free, the record is
	// gone, and receivers that are attached end by Expire(ErrReleased). It does nothing when k is not bound to id.
	Release(ctx context.Context, k Key, id ID) error
	// Prolong keeps the record of a trip for at least d more, and nothing evicts it meanwhile. It never shortens its life. 0 lets the record go: it may be
	// evicted again, and a complete one is kept for the retention from now, if that is less than what is left. The record of a marked id is kept like one that
	// is prolonged from its first Save or Claim until it is let go, at most for MarkedFor after its id's expiry, or, if it is complete, after its last change.
	// ErrGone: there is no record. ErrUnavailable.
	Prolong(ctx context.Context, id ID, d time.Duration) error
	// Attach lets r wait for a trip of which there is a record, wherever its home is and whether or not that lives: r
	// hears the finals that there are, at once, and each that comes, perhaps more than once; what it says of them does not
	// matter. It counts as parked: ErrBusy, ErrDraining, and Expire at the deadline or at a drain's end. ErrGone: there is
	// no record. ErrUnavailable. detach ends it, without I/O that its caller waits for.
	Attach(ctx context.Context, id ID, r Receiver, deadline time.Time) (detach func(), err error)
	// Follow lets r wait as Attach does, and hear the events as well: each Started and Progress with a Seq greater than after, in
	// order of Seq and once, and the final of each op after the events that came before it, once. r.Deliver is called for one after the
	// other. The last KeptEvents are kept; what r has missed before those it does not hear.
	Follow(ctx context.Context, id ID, r Receiver, after uint32, deadline time.Time) (detach func(), err error)
}

package waiter

import (
	"sync"
	"time"

	"syncgate/correlator"
)

// life is a name, and how long it is waited for.
type life struct {
	name  correlator.Name
	timer time.Duration
}

// openOp is an op of this node that has names.
type openOp struct {
	process string    // set by Bind, read-only afterwards, as since is
	since   time.Time // when it got its names

	mu    sync.Mutex // guards what follows. It is held over the store: what is said of one op comes in order
	names []life     // those that it has
	named correlator.Named
	over  bool // it has its result, or none will come
}

// opKey is an op of a trip.
type opKey struct {
	id correlator.ID
	op int
}

func (b *openOp) key() opKey { return opKey{b.named.ID, b.named.Op} }

const (
	// ackGrace is how long after the end of its wait an op can still get the engine's id of its task.
	ackGrace = time.Minute
	// mostUnacked is how many such ops there can be at this node. Others do not get that id.
	mostUnacked = 10_000
)

// openOps are the ops of this node that have names, and whose wait has not ended: as many as are parked, and mostUnacked.
type openOps struct {
	mu       sync.Mutex // guards what follows
	all      map[opKey]*openOp
	awaiting map[opKey]struct{} // those whose create the engine has not answered
	count    map[string]int     // of these, by process; none is 0
	unacked  int                // those of them whose wait has ended
}

func newOpenOps() *openOps {
	return &openOps{all: make(map[opKey]*openOp), awaiting: make(map[opKey]struct{}), count: make(map[string]int)}
}

// add takes an op in. asks: the engine is asked for it.
func (o *openOps) add(b *openOp, asks bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.all[b.key()] = b
	if asks {
		o.awaiting[b.key()] = struct{}{}
		o.count[b.process]++
	}
}

// find gives an op; nil: there is none.
func (o *openOps) find(id correlator.ID, op int) *openOp {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.all[opKey{id, op}]
}

// awaits reports whether the engine has not answered a create of a process.
func (o *openOps) awaits(process string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.count[process] > 0
}

// acked says that the engine has answered. It is called once its id is a name.
func (o *openOps) acked(b *openOp) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.answered(b)
}

// answered takes an op out of those whose create the engine has not answered. Called with mu held.
func (o *openOps) answered(b *openOp) {
	if _, there := o.awaiting[b.key()]; !there {
		return
	}
	delete(o.awaiting, b.key())
	if o.count[b.process]--; o.count[b.process] == 0 {
		delete(o.count, b.process)
	}
}

// remove forgets an op.
func (o *openOps) remove(b *openOp) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.answered(b)
	delete(o.all, b.key())
}

// ended says that the wait for an op has ended, and that its result can still come. The op stays while the engine may still answer its create.
func (o *openOps) ended(b *openOp) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if _, awaits := o.awaiting[b.key()]; !awaits || o.unacked == mostUnacked {
		o.answered(b)
		delete(o.all, b.key())
		return
	}
	o.unacked++
	time.AfterFunc(ackGrace, func() {
		o.mu.Lock()
		o.unacked--
		o.mu.Unlock()
		o.remove(b)
	})
}

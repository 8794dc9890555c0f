package correlator

import (
	"bytes"
	"context"
	"strings"
	"sync"
	"time"

	"syncgate/internal/timerwheel"
)

const (
	// MaxNames is how many names a Memory holds, open and finished ones together.
	MaxNames = 1 << 20
	// MaxNameBytes is how many bytes of memory they take together, at most: with nameCost for each.
	MaxNameBytes = 512 << 20

	// nameCost is what it takes to hold a name without Task and Data, in bytes. TestBytesPerName measures it.
	nameCost = 352
	// nameTick is how long a name may stay in memory after its time has passed. Nobody is given it meanwhile.
	nameTick = time.Second
)

var _ Namer = (*Memory)(nil)

// names are the names of ops in memory.
type names struct {
	mu    sync.Mutex // guards all
	most  int        // names
	limit int64      // bytes

	all      map[[32]byte]*boundName // by Name.Sum
	bytes    int64                   // of all, as size counts them
	finished struct{ oldest, newest *boundName }
	wheel    *timerwheel.Wheel[*boundName] // nil before the first name: who has none pays for none
	closed   bool                          // no wheel is started any more
}

// boundName is a name of an op. names.mu guards it.
type boundName struct {
	timer timerwheel.Timer[*boundName]
	sum   [32]byte
	to    Named
	until time.Time // when its time has passed
	taken time.Time // until when a Take has it; in the past: none has
	final bool      // it is finished, and in the list of those

	older, newer *boundName // among the finished ones
}

func newNames() *names {
	return &names{most: MaxNames, limit: MaxNameBytes, all: make(map[[32]byte]*boundName)}
}

// Names is how many names there are, and their bytes as they are counted against MaxNameBytes.
func (m *Memory) Names() (names int, bytes int64) {
	m.names.mu.Lock()
	defer m.names.mu.Unlock()
	return len(m.names.all), m.names.bytes
}

// Bind gives an op a name for d from now on. If there is no room the finished names go, the one that was finished first before the others.
// ErrNameTaken, ErrTooManyNames, and the errors of Check.
func (m *Memory) Bind(_ context.Context, n Name, to Named, d time.Duration) error {
	if err := to.Check(); err != nil {
		return err
	}
	return m.names.bind(n.Sum(), to, d)
}

// Take gives the op with a name, and the right to complete it. ErrNameUnknown, ErrNameFinished, ErrNameBusy.
func (m *Memory) Take(_ context.Context, n Name, lease time.Duration) (Named, error) {
	return m.names.take(n.Sum(), lease)
}

// Finish ends what Take began, or says of an op that it is final. Its error is nil.
func (m *Memory) Finish(_ context.Context, n Name, id ID, op int, final bool) error {
	m.names.finish(n.Sum(), id, op, final)
	return nil
}

// Unbind forgets the name of an op. Its error is nil.
func (m *Memory) Unbind(_ context.Context, n Name, id ID, op int) error {
	m.names.unbind(n.Sum(), id, op)
	return nil
}

func (ns *names) bind(sum [32]byte, to Named, d time.Duration) error {
	to.Task, to.Data = strings.Clone(to.Task), bytes.Clone(to.Data) // they may be parts of something larger, and change
	ns.mu.Lock()
	defer ns.mu.Unlock()
	b := ns.known(sum)
	same := b != nil && b.is(to.ID, to.Op)
	switch {
	case b != nil && !same && !b.final:
		return ErrNameTaken
	case same && b.final:
		ns.keep(b, d)
		return nil
	case b != nil && !same: // it is finished
		ns.drop(b)
		b = nil
	}
	if !ns.room(b, to) {
		return ErrTooManyNames
	}
	if b == nil {
		b = &boundName{sum: sum}
		b.timer.Value = b
		ns.all[sum] = b
	} else {
		ns.bytes -= b.to.size()
	}
	b.to = to
	ns.bytes += to.size()
	ns.keep(b, d)
	return nil
}

func (ns *names) take(sum [32]byte, lease time.Duration) (Named, error) {
	ns.mu.Lock()
	defer ns.mu.Unlock()
	b, now := ns.known(sum), time.Now()
	switch {
	case b == nil:
		return Named{}, ErrNameUnknown
	case b.final:
		return Named{}, ErrNameFinished
	case now.Before(b.taken):
		return Named{}, ErrNameBusy
	}
	b.taken = now.Add(max(lease, time.Millisecond))
	return b.to, nil
}

func (ns *names) finish(sum [32]byte, id ID, op int, final bool) {
	ns.mu.Lock()
	defer ns.mu.Unlock()
	b := ns.known(sum)
	if b == nil || b.final || !b.is(id, op) {
		return
	}
	b.taken = time.Time{}
	if !final {
		return
	}
	ns.bytes -= b.to.size()
	b.to.Task, b.to.Data = "", nil
	ns.bytes += b.to.size()
	b.final = true
	b.older = ns.finished.newest
	if b.older != nil {
		b.older.newer = b
	} else {
		ns.finished.oldest = b
	}
	ns.finished.newest = b
}

func (ns *names) unbind(sum [32]byte, id ID, op int) {
	ns.mu.Lock()
	defer ns.mu.Unlock()
	if b := ns.known(sum); b != nil && b.is(id, op) {
		ns.drop(b)
	}
}

// known gives a name whose time has not passed; nil: there is none. The caller holds the mutex, as with all that follows.
func (ns *names) known(sum [32]byte) *boundName {
	b := ns.all[sum]
	if b != nil && !time.Now().Before(b.until) {
		ns.drop(b)
		return nil
	}
	return b
}

// room reports whether there is room for one more name, or for b with what it is to be bound to. It drops finished names as long as there is none.
func (ns *names) room(b *boundName, to Named) bool {
	more, bytes := 1, to.size()
	if b != nil {
		more, bytes = 0, bytes-b.to.size()
	}
	if more == 0 && bytes <= 0 { // it takes no more than before
		return true
	}
	for len(ns.all)+more > ns.most || ns.bytes+bytes > ns.limit {
		if ns.finished.oldest == nil {
			return false
		}
		ns.drop(ns.finished.oldest)
	}
	return true
}

// keep has the time of a name pass after d.
func (ns *names) keep(b *boundName, d time.Duration) {
	b.until = time.Now().Add(max(d, time.Millisecond))
	if ns.closed {
		return
	}
	if ns.wheel == nil {
		ns.wheel = timerwheel.New(nameTick, ns.expire)
	}
	ns.wheel.Remove(&b.timer)
	ns.wheel.Add(&b.timer, b.until)
}

// expire drops a name whose time has passed. The wheel calls it, perhaps when the name has just been bound for longer, or is gone.
func (ns *names) expire(b *boundName) {
	ns.mu.Lock()
	defer ns.mu.Unlock()
	if ns.all[b.sum] == b && !time.Now().Before(b.until) {
		ns.drop(b)
	}
}

// drop forgets a name.
func (ns *names) drop(b *boundName) {
	delete(ns.all, b.sum)
	ns.bytes -= b.to.size()
	if ns.wheel != nil {
		ns.wheel.Remove(&b.timer)
	}
	if !b.final {
		return
	}
	if b.older != nil {
		b.older.newer = b.newer
	} else {
		ns.finished.oldest = b.newer
	}
	if b.newer != nil {
		b.newer.older = b.older
	} else {
		ns.finished.newest = b.older
	}
	b.older, b.newer = nil, nil
}

// close ends the goroutine, if there is one. Names are still given as long as their time has not passed.
func (ns *names) close() {
	ns.mu.Lock()
	wheel := ns.wheel
	ns.closed = true
	ns.mu.Unlock() // before the wheel ends: it may be about to call expire
	if wheel != nil {
		wheel.Close()
	}
}

func (b *boundName) is(id ID, op int) bool { return b.to.ID == id && b.to.Op == op }

// size is how many bytes a name takes, as they are counted.
func (to Named) size() int64 { return nameCost + int64(len(to.Task)+len(to.Data)) }

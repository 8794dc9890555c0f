package gateway

import (
	"net/netip"
	"sync"
	"sync/atomic"
)

// Bodies are charged to a budget: one that came whole when it is taken, another one as it comes (body.go). A request that does not fit is
// not read to its end.

const (
	// freeBody is the size below which a body is not accounted for: the connection costs more.
	freeBody = 512
	// budgetBodies is how many bodies of the largest allowed size may be in memory at the same time.
	budgetBodies = 64
	// minBudget holds whatever the limit of one body is.
	minBudget = 64 << 20
	// smallBody is the size up to which a body may have what is kept back from larger ones, a quarter of the budget on
	// top of it: large bodies do not keep small ones out.
	smallBody = 16 << 10
	// shareOfOne is the part of a budget that bodies of one sender may have while they come. What has come whole does not count.
	shareOfOne = 2
)

// budget bounds the bytes of bodies that are in memory.
type budget struct {
	free, size, keptBack atomic.Int64

	mu       sync.Mutex
	arriving map[netip.Prefix]int64 // by sender: what bodies have that have not come whole; guarded by mu
}

func newBudget(largest ByteSize) *budget {
	b := &budget{arriving: make(map[netip.Prefix]int64)}
	b.resize(largest)
	return b
}

// resize follows a reloaded limit of one body. It is not called concurrently.
func (b *budget) resize(largest ByteSize) {
	size := max(budgetBodies*int64(largest), minBudget)
	b.keptBack.Store(size / 4)
	size += size / 4
	b.free.Add(size - b.size.Swap(size))
}

// charge takes n bytes for a body that has size bytes with them.
func (b *budget) charge(n, size int64) bool {
	if b.free.Add(-n) >= b.least(size) {
		return true
	}
	b.free.Add(n)
	return false
}

// least is what has to be left when a body of that size has its bytes.
func (b *budget) least(size int64) int64 {
	if size > smallBody {
		return b.keptBack.Load()
	}
	return 0
}

// hasRoom reports whether a body of that size would fit now.
func (b *budget) hasRoom(size int64) bool {
	return size <= freeBody || b.free.Load()-size >= b.least(size)
}

func (b *budget) release(n int64) { b.free.Add(n) }

// arrive charges n bytes for a body that is on its way and has size bytes with them. False: there is no room, or the sender has as much
// on its way as one may have.
func (b *budget) arrive(from netip.Prefix, n, size int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.arriving[from]+n > b.size.Load()/shareOfOne || !b.charge(n, size) {
		return false
	}
	b.arriving[from] += n
	return true
}

// arrived says of n bytes that they are on their way no more: the body has come whole, or is given up.
func (b *budget) arrived(from netip.Prefix, n int64) {
	if n == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.arriving[from] -= n; b.arriving[from] == 0 {
		delete(b.arriving, from)
	}
}

// network is what one sender may have many addresses of: a whole /64 of IPv6.
func network(a netip.Addr) netip.Prefix {
	bits := a.BitLen()
	if a.Is6() {
		bits = 64
	}
	p, _ := a.Prefix(bits) // of no address: no prefix, and those share one
	return p
}

// reservation is a share of a budget with one owner. The zero value holds nothing.
type reservation struct {
	of *budget
	n  int64
}

// release gives the share back; a second time it does nothing.
func (r *reservation) release() {
	if r.n > 0 {
		r.of.release(r.n)
		r.n = 0
	}
}

// shrink gives back what the body did not need after all.
func (r *reservation) shrink(n int64) {
	if r.n > n {
		r.of.release(r.n - n)
		r.n = n
	}
}

// reserve takes a share for a body of length bytes. Not ok: there is no room for it.
func reserve(b *budget, length int) (r reservation, ok bool) {
	n := int64(length)
	if n <= freeBody {
		return reservation{}, true
	}
	if !b.charge(n, n) {
		return reservation{}, false
	}
	return reservation{of: b, n: n}, true
}

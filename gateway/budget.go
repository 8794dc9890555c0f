package gateway

import "sync/atomic"

// fasthttp allocates a declared body at once, before the first byte of it has come. So declared bytes are reserved from
// a budget, and a request that does not fit is not read.

const (
	// freeBody is the size below which a body is not accounted for: the connection costs more.
	freeBody = 512
	// budgetBodies is how many bodies of the largest allowed size may be in memory at the same time.
	budgetBodies = 64
	// minBudget holds whatever the limit of one body is.
	minBudget = 64 << 20
	// smallBody is the size up to which a body may have what is kept back from larger ones, a quarter of the budget on
	// top of it: whoever announces large bodies and sends none of them does not keep everybody else out.
	smallBody = 16 << 10
)

// budget bounds the bytes of bodies that are announced or in memory.
type budget struct{ free, size, keptBack atomic.Int64 }

func newBudget(largest ByteSize) *budget {
	b := new(budget)
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

func (b *budget) reserve(n int64) bool {
	least := int64(0)
	if n > smallBody {
		least = b.keptBack.Load()
	}
	if b.free.Add(-n) >= least {
		return true
	}
	b.free.Add(n)
	return false
}

func (b *budget) release(n int64) { b.free.Add(n) }

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

// reserve takes a share for a body of length bytes, of which limit is the most that is read; -1 is a length that nobody
// knows yet, and counts as the most. Not ok: there is no room for more than a free one.
func reserve(b *budget, length int, limit int64) (r reservation, ok bool) {
	n := int64(length)
	if n > limit || n < 0 {
		n = limit
	}
	if n <= freeBody {
		return reservation{}, true
	}
	if !b.reserve(n) {
		return reservation{}, false
	}
	return reservation{of: b, n: n}, true
}

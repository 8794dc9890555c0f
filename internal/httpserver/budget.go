package httpserver

import "sync/atomic"

const (
	// FreeBody is the size up to which a body is not charged, in bytes: its connection costs more.
	FreeBody = 512
	// budgetBodies is how many bodies of the largest allowed size may be in memory at the same time.
	budgetBodies = 64
	// minBudget is the least size of a budget, in bytes.
	minBudget = 64 << 20
	// smallBody is the size up to which a body may use the reserve, in bytes. The reserve is a quarter of the budget on top: large bodies
	// do not keep out small ones.
	smallBody = 16 << 10
)

// Budget bounds the bytes of bodies in memory.
type Budget struct{ free, size, reserve atomic.Int64 }

// NewBudget makes a budget for bodies of at most largest bytes.
func NewBudget(largest int64) *Budget {
	b := new(Budget)
	b.Resize(largest)
	return b
}

// Resize follows a changed limit of one body. It must not be called concurrently.
func (b *Budget) Resize(largest int64) {
	size := max(budgetBodies*largest, minBudget)
	b.reserve.Store(size / 4)
	size += size / 4
	b.free.Add(size - b.size.Swap(size))
}

// Size gives the bytes that may be charged.
func (b *Budget) Size() int64 { return b.size.Load() }

// Used gives the bytes that are charged.
func (b *Budget) Used() int64 { return b.size.Load() - b.free.Load() }

// take charges n bytes to a body that then has size bytes. False: there is no room.
func (b *Budget) take(n, size int64) bool {
	least := int64(0)
	if size > smallBody {
		least = b.reserve.Load()
	}
	if b.free.Add(-n) >= least {
		return true
	}
	b.free.Add(n)
	return false
}

// Reservation is a charge to a budget with one owner. The zero value holds nothing.
type Reservation struct {
	of *Budget
	n  int64
}

// Resize changes the charge to n bytes of b. False: there is no room, and nothing has changed.
func (r *Reservation) Resize(b *Budget, n int64) bool {
	if n <= FreeBody {
		n = 0
	}
	if n > r.n && !b.take(n-r.n, n) {
		return false
	}
	if n < r.n {
		b.free.Add(r.n - n)
	}
	r.of, r.n = b, n
	return true
}

// Release ends the charge; a second time it does nothing.
func (r *Reservation) Release() {
	if r.n > 0 {
		r.of.free.Add(r.n)
		r.n = 0
	}
}

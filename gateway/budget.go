package gateway

import (
	"strconv"
	"sync/atomic"

	"github.com/valyala/fasthttp"
)

// fasthttp allocates a declared body at once, before the first byte of it has come. So declared bytes are reserved from
// a budget, and a request that does not fit is not read.

const (
	// freeBody is the size below which a body is not accounted for: the connection costs more.
	freeBody = 512
	// budgetBodies is how many bodies of the largest allowed size may be in memory at the same time.
	budgetBodies = 64
	// minBudget holds whatever the limit of one body is.
	minBudget = 64 << 20
)

// reservedHeader carries a reservation from HeaderReceived, which sees nothing but the header, to the handler. No
// client can send a name with a colon.
const reservedHeader = ":reserved"

// budget bounds the bytes of bodies that are announced or in memory.
type budget struct{ free, size atomic.Int64 }

func newBudget(largest ByteSize) *budget {
	b := new(budget)
	b.resize(largest)
	return b
}

// resize follows a reloaded limit of one body. It is not called concurrently.
func (b *budget) resize(largest ByteSize) {
	size := max(budgetBodies*int64(largest), minBudget)
	b.free.Add(size - b.size.Swap(size))
}

func (b *budget) reserve(n int64) bool {
	if b.free.Add(-n) >= 0 {
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

// announce reserves the declared body of a request and gives the limit under which fasthttp may read it. The length of
// a chunked body is not known: it counts as the largest.
func announce(h *fasthttp.RequestHeader, b *budget, limit int64) (allowed int, reserved int64) {
	n := int64(h.ContentLength())
	if n < 0 && n != -1 {
		n = 0 // no body at all
	}
	if n > limit || n == -1 {
		n = limit
	}
	if n <= freeBody {
		return int(limit), 0
	}
	if !b.reserve(n) {
		return freeBody, 0
	}
	return int(limit), n
}

func markReserved(h *fasthttp.RequestHeader, n int64) {
	if n > 0 {
		h.SetCanonical([]byte(reservedHeader), strconv.AppendInt(nil, n, 10))
	}
}

// takeReserved takes over what HeaderReceived reserved.
func takeReserved(h *fasthttp.RequestHeader) int64 {
	v := h.Peek(reservedHeader)
	if len(v) == 0 {
		return 0
	}
	n, err := strconv.ParseInt(string(v), 10, 64)
	h.Del(reservedHeader)
	if err != nil {
		return 0
	}
	return n
}

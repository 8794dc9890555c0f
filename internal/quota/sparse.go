package quota

import (
	"sync/atomic"

	"golang.org/x/time/rate"
)

// Sparse lets through few of many.
type Sparse struct {
	limiter *rate.Limiter
	skipped atomic.Int64
}

// NewSparse makes a Sparse that lets through so many a second, and so many at once.
func NewSparse(perSecond float64, burst int) *Sparse {
	return &Sparse{limiter: rate.NewLimiter(rate.Limit(perSecond), burst)}
}

// Allow reports whether one more may pass, and how many did not since the last one that might.
func (s *Sparse) Allow() (skipped int64, ok bool) {
	if !s.limiter.Allow() {
		s.skipped.Add(1)
		return 0, false
	}
	return s.skipped.Swap(0), true
}

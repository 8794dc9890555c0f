package eventloop_test

import (
	"hash/maphash"
	"sync/atomic"
	"testing"
	"time"
)

// dice are random numbers for several goroutines (SplitMix64).
type dice struct{ state atomic.Uint64 }

// newDice gives dice whose first state is in the log of a test that fails.
func newDice(t testing.TB) *dice {
	d := new(dice)
	d.state.Store(maphash.Bytes(maphash.MakeSeed(), nil))
	t.Logf("the dice begin with %#x", d.state.Load())
	return d
}

// n is a number from 0 to below most.
func (d *dice) n(most int) int {
	z := d.state.Add(0x9e3779b97f4a7c15)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return int((z ^ z>>31) >> 33 % uint64(most)) //nolint:gosec // 31 bits
}

// pause is a time from 0 to below most.
func (d *dice) pause(most time.Duration) <-chan time.Time {
	return time.After(time.Duration(d.n(int(most))))
}

// pattern is bytes of which no two places look the same.
func pattern(n int) []byte {
	p, d := make([]byte, n), new(dice)
	for i := range p {
		p[i] = byte(d.n(256)) //nolint:gosec // a byte
	}
	return p
}

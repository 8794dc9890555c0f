package gateway

import (
	"encoding/json"
	"math"
	"strconv"
	"testing"
	"time"
)

func TestAppendMillis(t *testing.T) {
	for _, d := range []time.Duration{0, 1, 999, time.Microsecond, 999 * time.Microsecond, time.Millisecond, 7603285, 90 * time.Second, math.MaxInt64} {
		got := string(appendMillis(nil, d))
		if want := strconv.FormatInt(d.Microseconds()/1000, 10); !json.Valid([]byte(got)) || got[:len(want)] != want {
			t.Errorf("%v: %s", d, got)
		}
		ms, err := strconv.ParseFloat(got, 64)
		if exact := float64(d) / 1e6; err != nil || math.Abs(ms-exact) > max(0.001, exact*1e-12) {
			t.Errorf("%v: %s (%v)", d, got, err)
		}
	}
	var room [24]byte
	if n := testing.AllocsPerRun(100, func() { appendMillis(room[:0], math.MaxInt64) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

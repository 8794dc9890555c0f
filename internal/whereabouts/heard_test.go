package whereabouts

import (
	"math"
	"testing"
	"time"
)

// Numbers and times that are too large for their room stay at the largest.
func TestHeardIsBounded(t *testing.T) {
	var h Heard
	long := time.Now().Add(-60 * 24 * time.Hour)
	h.n, h.more = math.MaxUint16, &moreTimes{reports: math.MaxUint32}
	h.Callback(1, 2, long)
	h.Report(long)
	if at, came := h.Of(1, 2); !came || at != math.MaxInt32 || h.last != math.MaxInt32 || h.more.lastReport != math.MaxInt32 {
		t.Errorf("%d %v %+v %+v", at, came, h, h.more)
	}
	if h.n != math.MaxUint16 || h.more.reports != math.MaxUint32 {
		t.Errorf("%+v %+v", h, h.more)
	}
}

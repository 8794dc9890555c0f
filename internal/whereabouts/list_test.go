package whereabouts

import (
	"testing"
	"unsafe"
)

// TestSizeOfRemembered: what is remembered of a trip has a fixed size.
func TestSizeOfRemembered(t *testing.T) {
	if n := unsafe.Sizeof(entry{}); n > 312 { // as configs/reference.yaml says
		t.Errorf("%d bytes", n)
	}
	const uuid = "0190b1c2-7e1f-7c3a-9f00-1d2e3f405162"
	if NewTask([]byte(uuid)) == NewTask([]byte(uuid[:35])) {
		t.Error("there is no room for a UUID")
	}
}

package gateway

import (
	"runtime"
	"testing"
	"time"
)

// waitFor polls until ok, for five seconds at most.
func waitFor(t *testing.T, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); !ok(); runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatal("it did not happen within 5 s")
		}
	}
}

package httpserver

import (
	"testing"
	"time"
)

func TestTrimmerIsDue(t *testing.T) {
	now := time.Unix(0, 0)
	m := new(trimmer)
	look := func(held, entered uint64, want bool) {
		t.Helper()
		now = now.Add(trimLook)
		if got := m.due(now, held, entered); got != want {
			t.Errorf("%d held after %d had come: %v", held, entered, got)
		}
	}
	look(5000, 5000, false) // they come
	look(5000, 5000, true)  // and have come
	look(5000, 5000, false)
	look(5500, 5500, false)
	look(6000, 6000, false)
	look(6000, 6000, false) // a fifth more
	look(10000, 10000, false)
	look(10000, 10100, true) // some always do
	look(10000, 13000, false)
	look(0, 13000, true) // and have left
}

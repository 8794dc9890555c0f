package redistest_test

import (
	"strings"
	"testing"
	"time"

	"syncgate/internal/redistest"
)

func TestFailover(t *testing.T) {
	f := redistest.StartFailover(t, "main")
	f.Master.Do("SET", "k", "v")
	f.Master.Do("WAIT", "1", "5000")
	begin := time.Now()
	f.Master.Kill()
	f.AwaitPromotion()
	t.Logf("promoted after %v", time.Since(begin))
	if got := f.Replica.Do("GET", "k"); got != "v" {
		t.Errorf("after the failover: %s", got)
	}
}

func TestMasters(t *testing.T) {
	m := redistest.StartMasters(t, 3)
	slot := m.Slot("{k}:x")
	from := m.Owner(slot)
	to := (from + 1) % 3
	m[from].Do("SET", "{k}:x", "v")
	m[from].Do("SET", "{k}:y", "w")
	m.Move(slot, to)
	if got := m.Owner(slot); got != to {
		t.Errorf("the slot is at %d, and has been moved from %d to %d", got, from, to)
	}
	if got := m[to].Do("MGET", "{k}:x", "{k}:y", "{k}:z"); got != "v\nw\n$-1" {
		t.Errorf("moved: %q", got)
	}
	if got := m[from].Do("GET", "{k}:x"); !strings.HasPrefix(got, "-MOVED") {
		t.Errorf("at the old place: %q", got)
	}
}

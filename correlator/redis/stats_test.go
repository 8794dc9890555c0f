package redis_test

import (
	"testing"

	"syncgate/correlator"
	"syncgate/correlator/correlatortest"
	"syncgate/correlator/redis"
	"syncgate/internal/redistest"
)

// TestStats: every count is there from the start, and each follows what happens.
func TestStats(t *testing.T) {
	s := redistest.Start(t)
	home, other := launch(t, config(s.URL())), start(t, config(s.URL()))
	before := home.Stats()
	for what, labels := range map[string]int{
		"commands": len(before.Commands), "errors": len(before.Errors), "forged": len(before.Forged), "delivered": len(before.Delivered),
	} {
		if labels < 3 {
			t.Errorf("%s has %d labels at the start", what, labels)
		}
	}
	awaitReady(t, home)
	if n := home.Stats().Commands["probe"]; n.Count == 0 || n.Sum <= 0 || n.Buckets[len(n.Buckets)-1] == 0 {
		t.Errorf("probes: %+v", n)
	}
	for _, by := range []struct {
		name string
		*redis.Correlator
	}{{"home", home}, {"remote", other}} {
		was, delivers := by.Stats().Delivered[by.name], by.Stats().Commands["deliver"].Count
		trip := correlatortest.Once(correlator.Written)
		id := park(t, home, trip)
		deliver(t, by.Correlator, id, `1`)
		hears(t, trip, `1`, healed)
		home.Close(id)
		if by.name == "home" {
			deliver(t, by.Correlator, id, `1`)
			if n := by.Stats().Delivered["late"]; n != 1 {
				t.Errorf("%d were late", n)
			}
		} else if by.Stats().Commands["deliver"].Count == delivers {
			t.Error("no script was counted")
		}
		if n := by.Stats().Delivered[by.name]; n != was+1 {
			t.Errorf("%s: %d callbacks more", by.name, n-was)
		}
	}
	key := newStranger(t, s.URL(), home, home.NewID(soon()), newKey())
	key.publish("junk")
	correlatortest.Eventually(t, "what is forged is counted", func() bool { return home.Stats().Forged["callback"] == 1 })

	s.Do("CLIENT", "KILL", "TYPE", "pubsub")
	correlatortest.Eventually(t, "subscribed again", func() bool { return home.Stats().Reconnects > 0 })
	s.Kill()
	correlatortest.Eventually(t, "errors are counted", func() bool { return home.Stats().Errors["connect"] > 0 })
}

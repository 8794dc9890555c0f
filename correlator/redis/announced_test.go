package redis_test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"syncgate/correlator/correlatortest"
	"syncgate/correlator/redis"
)

// TestEventsAreAnnounced: who follows a trip, at its home or at another node, hears each event when it is reported, and does not wait for a look.
func TestEventsAreAnnounced(t *testing.T) {
	for name, cfg := range deployments(t) {
		home, other, third := start(t, cfg), start(t, cfg), start(t, cfg)
		for at, by := range map[string]*redis.Correlator{"home": home, "where it is followed": other, "a third node": third} {
			t.Run(name+", reported at "+at, func(t *testing.T) {
				areAnnounced(t, by, home, other, "")
			})
			t.Run(name+", large, reported at "+at, func(t *testing.T) { // these are read from the store after a hint
				areAnnounced(t, by, home, other, strings.Repeat("x", 100_000))
			})
		}
	}
}

// areAnnounced reports events one after the other. Looks come in step: each event but the first would wait for a whole interval.
func areAnnounced(t *testing.T, by, home, other *redis.Correlator, more string) {
	t.Helper()
	const each, most = 8, 4 * time.Second
	id, _ := claim(t, home, newKey())
	trips := []*correlatortest.Trip{follow(t, home, id, 0), follow(t, other, id, 0)}
	for began, i := time.Now(), 0; i < each; i++ {
		body := `"` + strconv.Itoa(i) + more + `"`
		report(t, by, id, body)
		for _, trip := range trips {
			hears(t, trip, body, most)
		}
		if d := time.Since(began); d > most {
			t.Fatalf("%d of %d events were heard after %v", i+1, each, d)
		}
	}
}

package metrici

import (
	"strings"
	"testing"
	"time"

	"syncgate/correlator"
	"syncgate/dialect"
)

// Durations are those of ISO 8601 without years and months, or Go's.
func TestDurations(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"PT1H": time.Hour, "PT24H": 24 * time.Hour, "P1D": 24 * time.Hour, "P1W": 7 * 24 * time.Hour, "P1DT1H30M": 25*time.Hour + 30*time.Minute, "PT0.5S": time.Second / 2, "PT5M": 5 * time.Minute,
		"1h": time.Hour, "90m": 90 * time.Minute, "P3660D": 3660 * 24 * time.Hour,
	} {
		if got, err := parseDuration(text, mostRetention); got != want || err != nil {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for text, says := range map[string]string{
		"": "must be a duration", "1": "must be a duration", "PT": "longer than 0", "P": "longer than 0", "PT0S": "longer than 0", "-PT1H": "must be a duration", "-1h": "longer than 0", "0s": "longer than 0",
		"P1Y": "years or months", "P2M": "years or months", "P1Y2M3D": "years or months", "P0M": "years or months", "PT1X": "must be a duration", "PT1": "must be a duration", "pt1h": "must be a duration",
		"P3661D": "at most P3660D", "PT" + strings.Repeat("9", 400) + "H": "must be a duration", "P1e9D": "must be a duration", "PTNaNH": "must be a duration", "P1.2.3D": "must be a duration", "true": "must be a duration",
		"PT0.0001S": "longer than 0", "PT9999999999999H": "at most",
	} {
		if got, err := parseDuration(text, mostRetention); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%.20s: %v, %v; want %s", text, got, err, says)
		}
	}
}

// A token has one length, needs no escape, and comes back as it was.
func TestTokens(t *testing.T) {
	keys, err := correlator.NewKeys([]string{correlator.RandomKey()})
	if err != nil {
		t.Fatal(err)
	}
	for range 1000 {
		own := string(keys.AppendToken(nil, correlator.Token{Trip: correlator.NewID(correlator.NewNodeID(), time.Now()), Engine: correlator.NewEngineID("e")}))
		token := wrapped(own)
		back, ok := unwrapped([]byte(token))
		if !ok || string(back) != own || len(token) != tokenLen || strings.ContainsAny(token, "+/=") {
			t.Fatalf("%s %v", token, ok)
		}
	}
	if tokenLen != 172 {
		t.Errorf("docs/dialects/metrici.md says that a token has 172 characters: it has %d", tokenLen)
	}
}

// A node remembers of so many tasks when they time out, and of those that are over nothing.
func TestRunningIsBounded(t *testing.T) {
	var r running
	now := time.Now()
	for i := range mostRunning + 10 {
		r.note(correlator.ID{byte(i), byte(i >> 8), byte(i >> 16)}, dialect.OpState{Until: now.Add(time.Hour)})
		if len(r.until) > mostRunning {
			t.Fatalf("%d are remembered", len(r.until))
		}
	}
	id := correlator.ID{1, 2, 3, 4}
	if r.inTime(id, now) {
		t.Error("nothing is known of it")
	}
	r.note(id, dialect.OpState{Until: now.Add(time.Minute)})
	if !r.inTime(id, now) || r.inTime(id, now.Add(time.Minute)) {
		t.Error("its time is another one")
	}
	r.note(id, dialect.OpState{Status: correlator.Complete})
	if r.inTime(id, now) {
		t.Error("it is over")
	}
}

package gateway

import (
	"regexp"
	"slices"
	"testing"
	"time"

	"syncgate/correlator"
	"syncgate/dialect"
	"syncgate/internal/whereabouts"
)

// The table of reasons has every reason once, and every status of a fault has one.
func TestReasons(t *testing.T) {
	seen, statuses := map[dialect.Reason]bool{}, map[int]bool{}
	for _, row := range reasons() {
		if seen[row.reason] || row.status != 0 && statuses[row.status] {
			t.Errorf("%s or %d comes twice", row.reason, row.status)
		}
		seen[row.reason], statuses[row.status] = true, true
		if !slices.Contains(outcomes(), row.outcome) || !slices.Contains(callbackOutcomes(), row.callback) {
			t.Errorf("%s has the outcomes %q and %q", row.reason, row.outcome, row.callback)
		}
	}
	for i := range faults {
		if f := &faults[i].say; whyOf(f).reason != f.Reason {
			t.Errorf("%q has the reason %q, of which the table says %q", f.Text, f.Reason, whyOf(f).reason)
		}
	}
	if got := whyOf(&dialect.Fault{Status: 418}).reason; got != dialect.InternalError {
		t.Errorf("a status that nobody knows is %q", got)
	}
}

// Every 503 says what is away, or what there is no more of.
func TestUnavailableSaysWhat(t *testing.T) {
	what := regexp.MustCompile(`^(Overloaded: .*(clients|memory|Redis|connections|connection to the engine|bytes)|Shutting down: )`)
	texts := make(map[string]bool)
	for i := range faults {
		if f := &faults[i].say; f.Status == 503 && (!what.MatchString(f.Text) || texts[f.Text] || f.RetryAfter == 0) {
			t.Errorf("%q does not say what, or says the same as another, or not when to try again", f.Text)
		}
		texts[faults[i].say.Text] = true
	}
}

// What a plain trip pays for being remembered.
func BenchmarkRemember(b *testing.B) {
	call := &dialect.Call{Login: "12345", Ops: []dialect.Op{{Create: true, Process: []byte("1234"), Ref: []byte(`"order-7"`)}}, Wait: time.Minute}
	g := &Gateway{cfg: Default(), recent: whereabouts.New(10_000), engines: []*engine{{name: dialect.DefaultEngine}}}
	t := &trip{g: g, call: call, requestID: "8f3a90c1d2e4b576", accepted: time.Now(), id: correlator.NewID(correlator.NewNodeID(), time.Now())}
	t.finals = make([]correlator.Callback, 1)
	t.engineTask = dialect.NewEngineTask([]byte("5cf67011094bab1b9a00a31d"))
	t.forwarded.Store(time.Now().UnixNano())
	t.engineTime.Store(1)
	b.ReportAllocs()
	for b.Loop() {
		t.heard.Callback(0, 1, t.accepted)
		t.remember(outcomeComplete, time.Second, true)
	}
}

// What is kept of a trip beside its finals costs its own bytes, and nothing else.
func TestRecordAllocations(t *testing.T) {
	call := &dialect.Call{Login: "12345", Ops: []dialect.Op{{Create: true, ID: []byte(`"1"`), Ref: []byte(`"order-7"`)}}}
	trip := &trip{g: &Gateway{}, call: call}
	if n := testing.AllocsPerRun(100, func() { trip.metaOf() }); n != 1 {
		t.Errorf("%v allocations; want 1", n)
	}
}

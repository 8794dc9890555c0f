package gateway

import (
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"syncgate/correlator"
)

func TestProxies(t *testing.T) {
	p, err := newProxies([]string{"10.0.0.0/8", "192.168.1.1", "::1"})
	if err != nil {
		t.Fatal(err)
	}
	f := func(addr string, want bool) {
		t.Helper()
		if got := p.trusts(netip.MustParseAddr(addr)); got != want {
			t.Errorf("trusts(%s) = %v", addr, got)
		}
	}
	f("10.1.2.3", true)
	f("192.168.1.1", true)
	f("192.168.1.2", false)
	f("::1", true)
	if _, err := newProxies([]string{"everybody"}); err == nil {
		t.Error("a name was taken for an address")
	}
}

func TestRequestIDs(t *testing.T) {
	f := func(id string, want bool) {
		t.Helper()
		if got := isRequestID([]byte(id)); got != want {
			t.Errorf("isRequestID(%q) = %v", id, got)
		}
	}
	f("a-B_c.9", true)
	f(strings.Repeat("a", 128), true)
	f(strings.Repeat("a", 129), false)
	f("", false)
	f("a b", false)
	f("a\"b", false)
	f("é", false)
}

func TestCleanedWords(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		if got := cleaned(text); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
	f("", "")
	f("Conveyor 7 is not active", "Conveyor 7 is not active")
	f(`no task with ref "order 7", sorry`, `no task with ref "...", sorry`)
	f("task 123e4567-e89b-12d3-a456-426614174000 is gone", "task 123e4567-e89b-12d3-a456-426614174000 is gone")
	f("at http://host/api/1/plugins/callback/"+strings.Repeat("a", 67)+" now", "at http:... now")
	f("secret="+strings.Repeat("0f", 20)+"!", "...!")
	f("two\nlines\u202eand\x00more", "two lines and more")
	f(strings.Repeat("long ", 100), strings.Repeat("long ", 32)+"...")
}

func TestLabels(t *testing.T) {
	f := func(value, want string, most int) {
		t.Helper()
		got := string(appendLabel(nil, []byte(value), most))
		if got != want || len(got) > most {
			t.Errorf("%s becomes %q (%d bytes), want %q", value, got, len(got), want)
		}
	}
	f(`null`, "", 10)
	f(``, "", 10)
	f(`""`, "", 10)
	f(`1234`, "1234", 10)
	f(`"a\"b"`, `a"b`, 10)
	f(`"a\nb"`, `a\u000ab`, 10)
	f(`"a\nb"`, `a...`, 7)
	f(`"1234567890"`, "1234567890", 10)
	f(`"12345678901"`, "1234567...", 10)
	f(`"ééééé"`, "ééééé", 10)
	f(`"éééééé"`, "ééé...", 10)
	f(`"cut here`, "cut here", 10)
	f(`"cut\`, `cut\`, 10)
	f("\"\xff\"", `\ufffd`, 10)
}

// The table of reasons has every reason once, and every status of a fault has one.
func TestReasons(t *testing.T) {
	seen, statuses := map[Reason]bool{}, map[int]bool{}
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
		if f := &faults[i].say; f.why().reason != f.Reason {
			t.Errorf("%q has the reason %q, of which the table says %q", f.Text, f.Reason, f.why().reason)
		}
	}
	if got := (&Fault{Status: 418}).why().reason; got != InternalError {
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
	call := &Call{Login: "12345", Ops: []Op{{Create: true, Process: []byte("1234"), Ref: []byte(`"order-7"`)}}, Wait: time.Minute}
	g := &Gateway{cfg: Default(), recent: newRecentTrips(10_000)}
	t := &trip{g: g, call: call, requestID: "8f3a90c1d2e4b576", accepted: time.Now(), id: correlator.NewID(correlator.NewNodeID(), time.Now())}
	t.finals = make([]correlator.Callback, 1)
	t.task = NewEngineTask([]byte("5cf67011094bab1b9a00a31d"))
	t.forwarded.Store(time.Now().UnixNano())
	t.engineTime.Store(1)
	b.ReportAllocs()
	for b.Loop() {
		t.heard.note(t.accepted)
		g.recent.add(t, outcomeComplete, time.Second, true)
	}
}
